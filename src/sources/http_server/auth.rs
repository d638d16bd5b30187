//! Who may send: a token, or a user with a password.

use crate::net::Credentials;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hyper::header::{AUTHORIZATION, HeaderMap};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

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
    /// Lets in whoever shows `credentials`.
    pub fn new(credentials: &Credentials) -> Guard {
        match credentials {
            Credentials::Bearer(token) => Guard { scheme: "Bearer", expected: digest(token.as_bytes()) },
            Credentials::Basic(pair) => Guard { scheme: "Basic", expected: digest(pair.as_bytes()) },
        }
    }

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
    use crate::net::Auth;
    use hyper::header::HeaderValue;

    fn guard(options: &str) -> Guard {
        let credentials = toml::from_str::<Auth>(options).unwrap().credentials();
        Guard::new(&credentials.unwrap_or_else(|e| panic!("{e}")))
    }

    fn admits(guard: &Guard, value: &str) -> bool {
        let value = HeaderValue::from_str(value).unwrap();
        guard.admits(&HeaderMap::from_iter([(AUTHORIZATION, value)]))
    }

    #[test]
    fn a_token_is_compared_whole() {
        let bearer = guard("strategy = \"bearer\"\ntoken = \"s3cret\"");
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
        let basic = guard(options);
        let encoded = |text: &str| format!("Basic {}", STANDARD.encode(text));
        assert!(admits(&basic, &encoded("ann:p:w é")));
        for bad in [encoded("ann:"), encoded("ann"), encoded("bob:p:w é"), "Basic %%%".into(), "Basic".into()]
        {
            assert!(!admits(&basic, &bad), "{bad}");
        }
    }
}
