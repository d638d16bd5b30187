//! How a client shows who it is: a token, or a user with a password.

use super::Secret;
use crate::event::Invalid;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

/// The ways of HTTP to do so.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Strategy {
    /// `Authorization: Bearer <token>`.
    Bearer,
    /// `Authorization: Basic <user:password>`.
    Basic,
}

/// The options `auth.*`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(transform = by_strategy)]
pub struct Auth {
    /// How a client shows who it is.
    pub strategy: Strategy,
    /// Of `bearer`.
    #[serde(default)]
    pub token: Option<Secret>,
    /// Of `basic`; Vector's servers call it `username`.
    #[serde(default, alias = "username")]
    pub user: Option<String>,
    /// Of `basic`.
    #[serde(default)]
    pub password: Option<Secret>,
}

/// Says in the schema which options belong to which strategy, and the other name of `user`.
fn by_strategy(auth: &mut schemars::Schema) {
    if let Some(options) = auth.get_mut("properties").and_then(|options| options.as_object_mut()) {
        let username = json!({"type": "string", "description": "The same as `user`."});
        options.insert("username".to_owned(), username);
    }
    let is =
        |strategy: &str| json!({"required": ["strategy"], "properties": {"strategy": {"const": strategy}}});
    let basic = json!({
        "required": ["password"],
        "anyOf": [{"required": ["user"]}, {"required": ["username"]}],
        "properties": {"token": false},
    });
    let bearer = json!({
        "required": ["token"],
        "properties": {"user": false, "username": false, "password": false},
    });
    auth.insert("if".to_owned(), is("bearer"));
    auth.insert("then".to_owned(), bearer);
    auth.insert("else".to_owned(), json!({"if": is("basic"), "then": basic}));
}

/// What a client shows.
#[derive(Clone)]
pub enum Credentials {
    /// A token.
    Bearer(String),
    /// `user:password`.
    Basic(String),
}

impl Credentials {
    /// The value of the header `Authorization`.
    pub fn header(&self) -> String {
        match self {
            Credentials::Bearer(token) => format!("Bearer {token}"),
            Credentials::Basic(pair) => format!("Basic {}", STANDARD.encode(pair)),
        }
    }
}

impl Auth {
    /// What these options name.
    pub fn credentials(&self) -> Result<Credentials, Invalid> {
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
                Ok(Credentials::Bearer(token.to_owned()))
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
                Ok(Credentials::Basic(format!("{user}:{}", password.reveal())))
            }
        }
    }
}

fn missing(option: &str, strategy: &str) -> Invalid {
    Invalid::new("auth", format!("`{strategy}` needs `{option}`"))
}

#[cfg(test)]
mod tests {
    use super::*;

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
            let found = toml::from_str::<Auth>(options).unwrap().credentials();
            assert_eq!(found.err().unwrap_or_else(|| panic!("{options}")).key, key, "{options}");
        }
    }

    #[test]
    fn secrets_are_not_shown_by_accident() {
        let auth: Auth = toml::from_str("strategy = \"bearer\"\ntoken = \"s3cret\"").unwrap();
        assert!(!format!("{auth:?}").contains("s3cret"));
    }

    #[test]
    fn a_header_is_as_http_has_it() {
        let header = |options: &str| {
            let auth: Auth = toml::from_str(options).unwrap();
            auth.credentials().map_or_else(|e| e.message, |credentials| credentials.header())
        };
        assert_eq!(header("strategy = \"bearer\"\ntoken = \"abc\""), "Bearer abc");
        // The example of RFC 7617.
        let basic = "strategy = \"basic\"\nuser = \"Aladdin\"\npassword = \"open sesame\"";
        assert_eq!(header(basic), "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==");
    }
}
