//! Keys that move money.

use super::super::rule::{Builtin, token};
use super::named;

pub const RULES: &[Builtin] = &[
    token(
        "stripe-key",
        "a secret or restricted key of Stripe",
        &["sk_live_", "sk_test_", "rk_live_", "rk_test_", "sk_prod_", "rk_prod_"],
        r"\b[sr]k_(?:live|test|prod)_[A-Za-z0-9]{16,}",
    ),
    token(
        "stripe-webhook-secret",
        "the secret of a webhook of Stripe or Svix",
        &["whsec_"],
        r"\bwhsec_[A-Za-z0-9+/=]{32,}",
    ),
    token(
        "square-token",
        "a token of Square",
        &["eaaa", "sq0atp-", "sq0csp-"],
        r"\b(?:EAAA[A-Za-z0-9_-]{60}|sq0(?:atp|csp)-[A-Za-z0-9_-]{22,43})",
    ),
    token(
        "shopify-token",
        "a token of Shopify",
        &["shpat_", "shpca_", "shppa_", "shpss_"],
        r"\bshp(?:at|ca|pa|ss)_[a-fA-F0-9]{32}\b",
    ),
    token(
        "braintree-token",
        "an access token of PayPal's Braintree",
        &["access_token$"],
        r"\baccess_token\$(?:production|sandbox)\$[a-z0-9]{16}\$[a-f0-9]{32}",
    ),
    token("adyen-key", "an API key of Adyen", &["aqe"], r"\bAQE[a-z]hm[A-Za-z0-9+/=.-]{60,}"),
    token(
        "gocardless-token",
        "a token of GoCardless",
        &["gocardless"],
        named!(r"gocardless", r"(?:live|sandbox)_[A-Za-z0-9_-]{40}"),
    ),
    token(
        "flutterwave-key",
        "a secret key of Flutterwave",
        &["flwseck"],
        r"\bFLWSECK(?:_TEST)?-[A-Za-z0-9]{12,40}-X\b",
    ),
    token(
        "plaid-token",
        "an access token of Plaid",
        &["access-sandbox-", "access-development-", "access-production-"],
        r"\baccess-(?:sandbox|development|production)-[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}",
    ),
    token(
        "paddle-key",
        "an API key of Paddle",
        &["pdl_"],
        r"\bpdl_(?:live|sdbx)_apikey_[a-z0-9]{26}_[A-Za-z0-9]{22}_[A-Za-z0-9]{3}\b",
    ),
    token(
        "razorpay-secret",
        "a key secret of Razorpay",
        &["razorpay"],
        named!(r"razorpay", r"[A-Za-z0-9]{24}"),
    ),
    token(
        "mollie-key",
        "an API key of Mollie",
        &["live_", "test_"],
        r"(?:^|[^A-Za-z0-9_])((?:live|test)_[A-Za-z0-9]{30})\b",
    ),
    token(
        "paystack-key",
        "a secret key of Paystack",
        &["paystack"],
        named!(r"paystack", r"sk_(?:live|test)_[a-f0-9]{40}"),
    ),
    token("coinbase-key", "a secret of Coinbase", &["coinbase"], named!(r"coinbase", r"[A-Za-z0-9_-]{64}")),
    token(
        "easypost-key",
        "an API key of EasyPost",
        &["ezak", "ezat", "ezsk"],
        r"\bEZ(?:AK|AT|SK|TK)[A-Za-z0-9]{54}\b",
    ),
    token("shippo-token", "a token of Shippo", &["shippo_"], r"\bshippo_(?:live|test)_[a-f0-9]{40}\b"),
    token("duffel-token", "a token of Duffel", &["duffel_"], r"\bduffel_(?:live|test)_[A-Za-z0-9_-]{43}"),
];
