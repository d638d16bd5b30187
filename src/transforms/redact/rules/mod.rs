//! The built-in rules, as tables.
//!
//! The formats are those that the vendors document, or that their own tools print. Where a format has no mark of its
//! own (32 hex digits), the vendor's name has to stand in front of it, in the name that the value is given to.

mod ai;
mod chat;
mod cloud;
mod code;
mod forms;
mod packages;
mod payment;
mod saas;
mod structure;
mod watch;

use super::rule::Builtin;

/// All of them; of two that find the same, the earlier one gives the name.
pub fn all() -> impl Iterator<Item = &'static Builtin> {
    let tables = [
        structure::RULES,
        cloud::RULES,
        code::RULES,
        packages::RULES,
        chat::RULES,
        payment::RULES,
        ai::RULES,
        watch::RULES,
        saas::RULES,
        forms::RULES,
    ];
    tables.into_iter().flatten()
}

/// A value of the format `$token` that is given to a name with `$vendor` in it:
/// `datadog_api_key: "…"`, `System.put_env("DATADOG_API_KEY", "…")`, `DATADOG_API_KEY=…`.
macro_rules! named {
    ($vendor:literal, $token:literal) => {
        concat!(
            r"(?i)(?:",
            $vendor,
            r")[\w .-]{0,40}[\x22'`\])>]{0,3}\s{0,8}(?:=>|<-|:=|=|:|,)\s{0,8}(?:<<|~[sc])?[\x22']?(?-i:(",
            $token,
            r"))(?:[\x22'\s;,)>\\&]|\z)"
        )
    };
}
use named;
