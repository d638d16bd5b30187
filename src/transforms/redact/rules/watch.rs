//! Keys of what watches other programs.

use super::super::rule::{Builtin, token};
use super::named;

pub const RULES: &[Builtin] = &[
    token(
        "datadog-key",
        "a key of Datadog",
        &["datadog", "dd_api", "dd_app"],
        named!(r"datadog|dd_a(?:pi|pp)", r"[a-f0-9]{40}|[a-f0-9]{32}"),
    ),
    token(
        "newrelic-key",
        "a key of New Relic",
        &["nrak-", "nral", "nrii-", "nrra-", "nrjs-"],
        r"\bNR(?:AK|RA)-[A-Z0-9]{27}\b|\bNRII-[A-Za-z0-9_-]{32}|\b[a-f0-9]{36}NRAL\b",
    ),
    token(
        "grafana-token",
        "a token of Grafana",
        &["glsa_", "glc_"],
        r"\bglsa_[A-Za-z0-9]{32}_[a-fA-F0-9]{8}\b|\bglc_[A-Za-z0-9+/]{32,}={0,2}",
    ),
    token(
        "sentry-token",
        "a token of Sentry",
        &["sntrys_", "sntryu_"],
        r"\bsntrys_eyJ[A-Za-z0-9+/=_]{60,}|\bsntryu_[a-f0-9]{64}\b",
    ),
    token(
        "honeycomb-key",
        "a key of Honeycomb",
        &["hcaik_", "hcamk_", "honeycomb"],
        r"\bhca[im]k_[a-z0-9]{58}\b",
    ),
    token(
        "dynatrace-token",
        "a token of Dynatrace",
        &["dt0"],
        r"\bdt0[a-z][0-9]{2}\.[A-Z0-9]{8,24}\.[A-Z0-9]{64}\b",
    ),
    token(
        "pagerduty-key",
        "a key of PagerDuty",
        &["pagerduty"],
        named!(r"pagerduty", r"[A-Za-z0-9+_-]{20}|[a-f0-9]{32}"),
    ),
    token("posthog-key", "a personal key of PostHog", &["phx_"], r"\bphx_[A-Za-z0-9_]{43,48}"),
    token(
        "appsignal-key",
        "a push key of AppSignal",
        &["appsignal"],
        named!(r"appsignal", r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"),
    ),
    token(
        "honeybadger-key",
        "a key of Honeybadger",
        &["honeybadger"],
        named!(r"honeybadger", r"(?:hbp_)?[A-Za-z0-9]{36}|[a-f0-9]{8}"),
    ),
    token("rollbar-token", "a token of Rollbar", &["rollbar"], named!(r"rollbar", r"[a-f0-9]{32}")),
    token(
        "axiom-token",
        "a token of Axiom",
        &["xaat-", "xapt-"],
        r"\bxa[ap]t-[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}",
    ),
    token(
        "betterstack-token",
        "a source token of Better Stack",
        &["logtail", "betterstack"],
        named!(r"logtail|betterstack", r"[A-Za-z0-9]{24}"),
    ),
    token(
        "splunk-token",
        "a token of Splunk's HTTP collector",
        &["splunk"],
        named!(r"splunk", r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"),
    ),
    token(
        "opsgenie-key",
        "a key of Opsgenie",
        &["opsgenie", "genie"],
        named!(r"opsgenie|genie_?key", r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"),
    ),
    token(
        "launchdarkly-key",
        "a key of LaunchDarkly",
        &["sdk-", "api-", "mob-"],
        r"\b(?:sdk|api)-[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}",
    ),
];
