//! Tokens of services that hold documents, people and work.

use super::super::rule::{Builtin, token};
use super::named;

pub const RULES: &[Builtin] = &[
    token(
        "notion-token",
        "a token of Notion",
        &["ntn_", "secret_"],
        r"\b(?:ntn_[A-Za-z0-9]{43,50}|secret_[A-Za-z0-9]{43})\b",
    ),
    token("airtable-token", "a token of Airtable", &["pat"], r"\bpat[A-Za-z0-9]{14}\.[a-f0-9]{64}\b"),
    token("linear-key", "a key of Linear", &["lin_"], r"\blin_(?:api|oauth)_[A-Za-z0-9]{40,64}\b"),
    token(
        "figma-token",
        "a token of Figma",
        &["figd_", "figo_", "figu_", "figr_"],
        r"\bfig[dour]_[A-Za-z0-9_-]{40,}",
    ),
    token(
        "asana-token",
        "a token of Asana",
        &["asana"],
        named!(r"asana", r"[0-9]/[0-9]{16,}(?:/[0-9]{16,})?:[a-f0-9]{32}"),
    ),
    token(
        "hubspot-token",
        "a token of HubSpot",
        &["pat-na", "pat-eu", "pat-ap"],
        r"\bpat-(?:na|eu|ap)[0-9]-[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}",
    ),
    token(
        "salesforce-token",
        "a session of Salesforce",
        &["00d"],
        r"\b00D[A-Za-z0-9]{12,15}![A-Za-z0-9._]{80,}",
    ),
    token("dropbox-token", "a token of Dropbox", &["sl."], r"\bsl\.(?:u\.)?[A-Za-z0-9_-]{100,}"),
    token(
        "okta-token",
        "a token of Okta",
        &["okta", "ssws"],
        r"(?i)(?:okta[\w .-]{0,40}[\x22'`\])]{0,3}\s{0,8}(?:=>|<-|=|:|,)\s{0,8}[\x22']?|\bssws\s{1,2})(00[A-Za-z0-9_-]{40})",
    ),
    token("typeform-token", "a token of Typeform", &["tfp_"], r"\btfp_[A-Za-z0-9_.=-]{44,59}"),
    token("contentful-token", "a management token of Contentful", &["cfpat-"], r"\bCFPAT-[A-Za-z0-9_-]{43}"),
    token("algolia-key", "an admin key of Algolia", &["algolia"], named!(r"algolia", r"[a-f0-9]{32}")),
    token(
        "mapbox-token",
        "a secret token of Mapbox",
        &["sk.eyj"],
        r"\bsk\.eyJ[A-Za-z0-9_-]{20,}\.[A-Za-z0-9_-]{20,}",
    ),
    token("facebook-token", "an access token of Meta", &["eaa"], r"\bEAA[A-Za-z0-9]{80,}"),
    token("twitter-bearer", "a bearer token of X", &["aaaaaaaaaaaa"], r"\bA{18,24}[A-Za-z0-9%]{80,}"),
    token(
        "linkedin-secret",
        "a client secret of LinkedIn",
        &["linkedin", "wpl_"],
        r"\bWPL_AP[01]\.[A-Za-z0-9]{16}\.[A-Za-z0-9+/=]{8,12}",
    ),
    token(
        "intercom-token",
        "an access token of Intercom",
        &["intercom"],
        named!(r"intercom", r"[A-Za-z0-9=_-]{60}"),
    ),
    token("zendesk-token", "a token of Zendesk", &["zendesk"], named!(r"zendesk", r"[A-Za-z0-9]{40}")),
    token("readme-key", "a key of ReadMe", &["rdme_"], r"\brdme_[a-z0-9]{70}\b"),
    token("clickup-token", "a token of ClickUp", &["pk_"], r"\bpk_[0-9]{6,10}_[A-Z0-9]{32}\b"),
    token("trello-token", "a token of Trello", &["atta"], r"\bATTA[a-f0-9]{72}\b"),
    token("auth0-secret", "a client secret of Auth0", &["auth0"], named!(r"auth0", r"[A-Za-z0-9_-]{64}")),
    token("clerk-key", "a key of Clerk for machines", &["ak_"], r"\bak_[A-Za-z0-9]{40,64}\b"),
    token("webflow-token", "a token of Webflow", &["webflow"], named!(r"webflow", r"[a-f0-9]{64}")),
    token(
        "firebase-server-key",
        "a server key of Firebase messaging",
        &[":apa91"],
        r"\bAAAA[A-Za-z0-9_-]{7}:APA91[A-Za-z0-9_-]{120,}",
    ),
];
