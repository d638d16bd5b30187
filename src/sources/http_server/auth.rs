//! Who may send: a token, or a user with a password.

use crate::event::Invalid;
use crate::net::Secret;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hyper::header::{AUTHORIZATION, HeaderMap};
use serde::Deserialize;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

/// How a client shows who it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Strategy {
    /// `Authorization: Bearer <token>`.
    Bearer,
    /// `Authorization: Basic <user:password>`.
    Basic,
}

/// The options `auth.*`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Auth {
    /// How a client shows who it is.
    pub strategy: Strategy,
    /// Of `bearer`.
    #[serde(default)]
    pub token: Option<Secret>,
    /// Of `basic`.
    #[serde(default)]
    pub user: Option<String>,
    /// Of `basic`.
    #[serde(default)]
    pub password: Option<Secret>,
}

impl Auth {
    /// What lets in whom these options name.
    pub fn guard(&self) -> Result<Guard, Invalid> {
        match self.strategy {
            Strategy::Bearer => {
                let token = self.token.as_ref().map(Secret::reveal);
                let token = token.ok_or_else(|| missing("token", "bearer"))?;
                if token.is_empty() || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
                    let why = "a token is one or more visible ASCII characters, without spaces";
                    return Err(Invalid::new("auth.token", why));
                }
                let stray = if self.user.is_some() { "auth.user" } else { "auth.password" };
                if self.user.is_some() || self.password.is_some() {
                    return Err(Invalid::new(stray, "`bearer` has no use for it")
                        .help("use `basic`, or leave it out"));
                }
                Ok(Guard { scheme: "Bearer", expected: digest(token.as_bytes()) })
            }
            Strategy::Basic => {
                let user = self.user.as_deref().ok_or_else(|| missing("user", "basic"))?;
                let password = self.password.as_ref().ok_or_else(|| missing("password", "basic"))?;
                if user.contains(':') {
                    return Err(Invalid::new(
                        "auth.user",
                        "a colon ends the user's name in HTTP: it can't be part of it",
                    ));
                }
                if self.token.is_some() {
                    let help = "use `bearer`, or leave it out";
                    return Err(Invalid::new("auth.token", "`basic` has no use for it").help(help));
                }
                Ok(Guard {
                    scheme: "Basic",
                    expected: digest(format!("{user}:{}", password.reveal()).as_bytes()),
                })
            }
        }
    }
}

fn missing(option: &str, strategy: &str) -> Invalid {
    Invalid::new("auth", format!("`{strategy}` needs `{option}`"))
}

fn digest(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}

/// Lets in whoever knows the secret.
pub struct Guard {
    scheme: &'static str,
    /// Digests are compared, so that neither content nor length of a guess shows in how long it takes.
    expected: [u8; 32],
}

impl Guard {
    /// Whether a request with these headers may pass.
    pub fn admits(&self, headers: &HeaderMap) -> bool {
        let Some(given) = headers.get(AUTHORIZATION) else { return false };
        let given = given.as_bytes().trim_ascii();
        let Some((scheme, value)) = given.split_at_checked(self.scheme.len()) else { return false };
        let value = match value.split_first() {
            Some((b' ', value)) if scheme.eq_ignore_ascii_case(self.scheme.as_bytes()) => value.trim_ascii(),
            _ => return false,
        };
        let found = if self.scheme == "Basic" { STANDARD.decode(value).ok() } else { Some(value.to_vec()) };
        found.is_some_and(|found| digest(&found).ct_eq(&self.expected).into())
    }

    /// What to ask a client for.
    pub fn challenge(&self) -> &'static str {
        if self.scheme == "Basic" {
            "Basic realm=\"evaltrail\", charset=\"UTF-8\""
        } else {
            "Bearer realm=\"evaltrail\""
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hyper::header::HeaderValue;

    fn guard(options: &str) -> Result<Guard, Invalid> {
        toml::from_str::<Auth>(options).unwrap().guard()
    }

    fn admits(guard: &Guard, value: &str) -> bool {
        let value = HeaderValue::from_str(value).unwrap();
        guard.admits(&HeaderMap::from_iter([(AUTHORIZATION, value)]))
    }

    #[test]
    fn a_token_is_compared_whole() {
        let bearer = guard("strategy = \"bearer\"\ntoken = \"s3cret\"").unwrap_or_else(|e| panic!("{e}"));
        for good in ["Bearer s3cret", "bearer s3cret", "BEARER   s3cret "] {
            assert!(admits(&bearer, good), "{good}");
        }
        for bad in
            ["", "Bearer", "Bearer ", "Bearers3cret", "Bearer s3cre", "Bearer s3crets", "Basic s3cret", "é"]
        {
            assert!(!admits(&bearer, bad), "{bad}");
        }
        assert!(!bearer.admits(&HeaderMap::new()));
    }

    #[test]
    fn user_and_password_are_compared_together() {
        let options = "strategy = \"basic\"\nuser = \"ann\"\npassword = \"p:w é\"";
        let basic = guard(options).unwrap_or_else(|e| panic!("{e}"));
        let encoded = |text: &str| format!("Basic {}", STANDARD.encode(text));
        assert!(admits(&basic, &encoded("ann:p:w é")));
        for bad in [encoded("ann:"), encoded("ann"), encoded("bob:p:w é"), "Basic %%%".into(), "Basic".into()]
        {
            assert!(!admits(&basic, &bad), "{bad}");
        }
    }

    #[test]
    fn each_strategy_has_its_options() {
        for (options, key) in [
            ("strategy = \"bearer\"", "auth"),
            ("strategy = \"bearer\"\ntoken = \"\"", "auth.token"),
            ("strategy = \"bearer\"\ntoken = \"a b\"", "auth.token"),
            ("strategy = \"bearer\"\ntoken = \"a\"\nuser = \"u\"", "auth.user"),
            ("strategy = \"bearer\"\ntoken = \"a\"\npassword = \"u\"", "auth.password"),
            ("strategy = \"basic\"\nuser = \"u\"", "auth"),
            ("strategy = \"basic\"\npassword = \"u\"", "auth"),
            ("strategy = \"basic\"\nuser = \"u:v\"\npassword = \"p\"", "auth.user"),
            ("strategy = \"basic\"\nuser = \"u\"\npassword = \"p\"\ntoken = \"t\"", "auth.token"),
        ] {
            assert_eq!(guard(options).err().unwrap_or_else(|| panic!("{options}")).key, key, "{options}");
        }
        let auth: Auth = toml::from_str("strategy = \"bearer\"\ntoken = \"s3cret\"").unwrap();
        assert!(!format!("{auth:?}").contains("s3cret"));
    }
}
