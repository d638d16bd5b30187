//! How secrets stand in cells: a telling name, and a string that is given to it.
//!
//! One shape covers Elixir (`password: "…"`, `%{"api_key" => "…"}`, `@token "…"`, `{:secret, "…"}`), Erlang
//! (`{password, <<"…">>}`, `#{token => "…"}`), Python (`API_KEY = "…"`, `{"token": "…"}`, `os.environ["X"] = "…"`) and
//! R (`token <- "…"`, `Sys.setenv(TOKEN = "…")`). A comma is listed apart: it stands between any two strings.

use super::super::allow::Check;
use super::super::rule::{Builtin, form};

/// What may stand between a name and its value, and the value in quotes.
macro_rules! given {
    ($name:literal) => {
        concat!(
            r"(?i)(?P<name>", $name,
            r#")(?:["'`]?\s{0,4}[\])]?\s{0,12}(?:=>|<-|:=|={1,3}|!=|::?\s{0,4}(?:str|bytes|string\.t\(\)|final(?:\[str\])?)?\s{0,8}=?|(?P<comma>,))\s{0,80})(?:<<\s?|~[sc]|[rbfu]{1,2}|(?:to_)?charlist\(|secretstr\(|redacted\.wrap\()?(?:"((?:[^"\\\r\n]|\\.){3,})"|'((?:[^'\\\r\n]|\\.){3,})'|~[sc]\(([^)\r\n]{3,})\))"#
        )
    };
}

const PASSWORD_WORDS: &[&str] = &["passw", "passphrase", "passcode", "pwd", "pass"];
const KEY_WORDS: &[&str] = &["token", "secret", "key", "salt", "credential", "auth", "bearer"];

pub const RULES: &[Builtin] = &[
    // `System.put_env`, `os:putenv`, `os.putenv`: the comma is certain to stand between a name and its value.
    form(
        "environment-variable",
        "a secret that is put into the environment",
        &["putenv", "put_env", "setenv"],
        r#"(?i)(?:put_?env|setenv)\w?[\s(]{1,4}(?:<<|~[sc])?["'](?P<name>[\w-]*(?:token|secret|key|passw|pwd|pass|credential|auth|salt|dsn|cookie|pat)[\w-]*)["'>]{1,3}\s{0,4},\s{0,40}(?:<<|~[sc])?["'](?P<secret>(?:[^"'\\\r\n]|\\.){4,})["']"#,
        Check::Value,
    ),
    form(
        "password",
        "a password that is given to a name",
        PASSWORD_WORDS,
        given!(r"[\w.-]*(?:passw(?:or)?d|passphrase|passwort|passcode|pwd)[\w-]*|\b(?:[\w-]*[_-])?pass"),
        Check::Password,
    ),
    form(
        "secret",
        "a key that is given to a name",
        KEY_WORDS,
        given!(
            r"[\w.-]*(?:token|secret|(?:api|access|auth|private|signing|encryption|master|account|service|license|shared|secure|webhook|deploy|app|session|hmac|jwt|primary|secondary|storage|client)[_.-]?key|signing[_.-]?salt|credential|basic[_.-]?auth|bearer)[\w-]*"
        ),
        Check::Key,
    ),
    form(
        "module-attribute",
        "a secret in a module attribute of Elixir",
        &["@"],
        r#"(?i)@(?P<name>\w*(?:token|secret|api_?key|access_?key|private_?key|signing_?key|credential|passw(?:or)?d|pwd)\w*)[ \t(]{1,8}"(?P<secret>(?:[^"\\\r\n]|\\.){4,})""#,
        Check::Key,
    ),
    form(
        "module-attribute-password",
        "a password in a module attribute of Elixir",
        &["@"],
        r#"(?i)@(?P<name>\w*(?:passw(?:or)?d|passphrase|pwd)\w*)[ \t(]{1,8}"(?P<secret>(?:[^"\\\r\n]|\\.){4,})""#,
        Check::Password,
    ),
    // In a shell, a heredoc, a file `.env`: without quotes.
    form(
        "shell-variable",
        "a secret that is given to a variable of a shell",
        &["token", "secret", "key", "passw", "pwd", "credential"],
        r#"(?m)(?:^|[\s"'])(?:export\s+)?(?P<name>[A-Z][A-Z0-9_]*(?:TOKEN|SECRET|_KEY|APIKEY|PASSWORD|PASSWD|PWD|CREDENTIALS?)[A-Z0-9_]*)=["']?(?P<secret>[^\s"'<>$(){}\\;]{6,})"#,
        Check::Password,
    ),
    form(
        "command-option",
        "a secret on a command line",
        &["--"],
        r#"(?i)--(?P<name>[\w-]*(?:token|secret|password|passwd|passphrase|api-?key|access-?key|private-?key))(?:[= ]|["']\s{0,4},\s{0,8}["'])["']?(?P<secret>[^\s"'<>$(){}\\;,]{6,})"#,
        Check::Key,
    ),
    form(
        "header-key",
        "a secret in a header of its own",
        &["x-", "apikey", "private-token", "job-token", "api-key"],
        r#"(?i)["'](?P<name>x-[\w-]*(?:token|key|secret|auth|password)|apikey|api-key|private-token|job-token|deploy-token|dd-api-key|ocp-apim-subscription-key)["'>]{1,3}\s{0,4}(?:=>|:|,|=)\s{0,8}(?:<<)?["'](?P<secret>[^"'\s]{8,})["']"#,
        Check::Key,
    ),
    form(
        "node-cookie",
        "the cookie of a cluster of Erlang nodes",
        &["cookie"],
        r#"(?i)(?:set_?cookie\(?[^\n]{0,60}?[\s,(:'"]|--?(?:set)?cookie[\s="',]{1,6}|\bcookie[\s:=>"',]{1,8}:)["']?(?P<secret>[\w+/=-]{12,})\b"#,
        Check::Key,
    ),
    // `Vault.write("secret/db", …)` names a path; this one is a role's.
    form(
        "keyring",
        "a secret that is given to a keyring",
        &["key_set_with_value", "set_password"],
        r#"(?:key_set_with_value|set_password)\([^)\n]{0,120}["'](?P<secret>[^"'\n]{4,})["']\s*\)"#,
        Check::Value,
    ),
    form(
        "wpa-passphrase",
        "the passphrase of a wireless network",
        &["psk"],
        r#"(?i)\b(?P<name>(?:wpa_?)?psk)["']?\s{0,4}(?:=>|[:=])\s{0,4}["'](?P<secret>[^"'\n]{8,63})["']"#,
        Check::Value,
    ),
];
