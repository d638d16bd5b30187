//! How much of a value may be seen, by the keys that lead to it.

use crate::config::{is_secret_key, is_slip};

/// Options that hold no secret; those that an address or a user stands in have a sight of their own.
const OPTIONS: [&str; 88] = [
    "acknowledgements",
    "app_permanent",
    "batch",
    "buffer",
    "ca_file",
    "codec",
    "compression",
    "concurrency",
    "count",
    "crt_file",
    "data_dir",
    "decoding",
    "default_level",
    "enabled",
    "encoding",
    "evaluations",
    "events",
    "except_fields",
    "exclude",
    "format",
    "framing",
    "fsync",
    "glob_minimum_cooldown_ms",
    "header_read_timeout_secs",
    "idle_timeout_secs",
    "ignore_older_secs",
    "include",
    "inputs",
    "interval",
    "interval_secs",
    "keep",
    "keepalive",
    "key_file",
    "keys",
    "level",
    "max_body_bytes",
    "max_bytes",
    "max_connection_age_secs",
    "max_connections",
    "max_events",
    "max_open_files",
    "max_record_bytes",
    "max_size_bytes",
    "message",
    "method",
    "mode",
    "name",
    "oldest_first",
    "only_fields",
    "other_events",
    "path",
    "rate",
    "read_from",
    "remove_after_secs",
    "rename",
    "request",
    "request_timeout_secs",
    "retry_attempts",
    "retry_initial_backoff_secs",
    "retry_max_duration_secs",
    "rotate_wait_secs",
    "rotation",
    "rules",
    "schema",
    "seed",
    "session_modes",
    "shutdown_timeout_secs",
    "sinks",
    "sources",
    "strict_path",
    "target",
    "timeout_secs",
    "timezone",
    "tls",
    "transforms",
    "twin_wait_ms",
    "twins",
    "type",
    "unwrap",
    "uri",
    "address",
    "user",
    "user_fields",
    "users",
    "verify_certificate",
    "verify_hostname",
    "when",
    "when_full",
];
/// The sections, below which the next key is an id.
const SECTIONS: [&str; 3] = ["sources", "transforms", "sinks"];
/// What the name of an option that takes an address has in it.
const ADDRESSES: [&str; 8] = ["uri", "url", "addr", "host", "endpoint", "proxy", "dsn", "server"];

/// How much of a value may be seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sight {
    /// All but the user and the query of an address in it.
    Plain,
    /// It is an address, though its scheme may be missing.
    Address,
    /// The name of a user, without what is behind a colon.
    User,
    /// The name of a way to show who one is.
    Strategy,
    /// A table with all that one shows: of its entries, the user and the strategy may be seen.
    Auth,
    /// A table whose name may mean that it holds secrets: only options that are known may be seen.
    Wary,
    /// Nothing.
    Secret,
}

impl Sight {
    /// The sight of the value of `key` in a table of this sight.
    pub(super) fn below(self, key: &str) -> Sight {
        let key = key.to_ascii_lowercase();
        let is_user = matches!(key.as_str(), "user" | "username" | "login");
        match self {
            Sight::Secret | Sight::Strategy => Sight::Secret,
            _ if key == "strategy" => Sight::Strategy,
            _ if is_user => Sight::User,
            Sight::Auth => Sight::Secret,
            _ if is_slip(&key, "auth") || key == "authentication" => Sight::Auth,
            _ if is_secret_key(&key) => Sight::Secret,
            _ if ADDRESSES.iter().any(|part| key.contains(part)) => Sight::Address,
            Sight::Wary if !OPTIONS.contains(&key.as_str()) => Sight::Secret,
            _ => Sight::Plain,
        }
    }

    /// Whether nothing of a value may be seen.
    pub(super) fn hides(self) -> bool {
        matches!(self, Sight::Secret | Sight::Auth)
    }
}

/// The sight of what `keys` lead to, from the root of a file.
pub(super) fn of_path(keys: &[&str]) -> Sight {
    match keys {
        [section, id, rest @ ..] if is_section(section) => {
            // Any id will do, but someone may have left out the id.
            let start = if is_secret_key(id) { Sight::Wary } else { Sight::Plain };
            rest.iter().fold(start, |sight, key| sight.below(key))
        }
        _ => keys.iter().fold(Sight::Plain, |sight, key| sight.below(key)),
    }
}

/// Whether `key` is one of the sections, maybe misspelled.
pub(super) fn is_section(key: &str) -> bool {
    SECTIONS.iter().any(|section| is_slip(key, section))
}

/// Whether `key` can only be meant as a key.
pub(super) fn is_known(key: &str) -> bool {
    OPTIONS.contains(&key) || matches!(key, "strategy") || is_secret_key(key)
}
