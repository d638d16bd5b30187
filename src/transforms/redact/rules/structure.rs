//! What is known by its structure, whoever made it: keys in PEM, JWTs, URLs and headers with credentials.

use super::super::allow::Check;
use super::super::rule::{Builtin, form, token};

pub const RULES: &[Builtin] = &[
    // Up to the end line; without one (a source that was cut), as far as it is base64.
    token(
        "private-key",
        "a private key in PEM, of any kind",
        &["private key"],
        r"(-----BEGIN[ A-Z0-9_-]{0,60}PRIVATE KEY(?: BLOCK)?-----[\sA-Za-z0-9+/=:;,.\\()-]{40,}?-----END[ A-Z0-9_-]{0,60}PRIVATE KEY(?: BLOCK)?-----)|(-----BEGIN[ A-Z0-9_-]{0,60}PRIVATE KEY(?: BLOCK)?-----[\sA-Za-z0-9+/=:;,.\\()-]{40,})",
    ),
    token(
        "putty-private-key",
        "a private key as PuTTY keeps it",
        &["private-lines"],
        r"Private-Lines: \d+\s+([A-Za-z0-9+/]{16,}(?:\s+[A-Za-z0-9+/]{16,})*={0,2})",
    ),
    token("age-secret-key", "a key of age", &["age-secret-key-1"], r"AGE-SECRET-KEY-1[02-9AC-HJ-NP-Z]{58}"),
    token(
        "jwt",
        "a JSON Web Token",
        &["eyj"],
        r"\beyJ[A-Za-z0-9_-]{8,}\.eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}",
    ),
    token(
        "jwe",
        "an encrypted JSON Web Token",
        &["eyj"],
        r"\beyJ[A-Za-z0-9_-]{16,}\.[A-Za-z0-9_-]{0,700}\.[A-Za-z0-9_-]{16,24}\.[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{20,24}",
    ),
    // Livebook prints the address that it runs at with its token.
    form(
        "livebook-token",
        "the token in an address",
        &["token="],
        r#"(?i)[?&](?:access_|auth_|api_|id_)?token=(?P<secret>[^\s"'&#<>\\{}$]{8,})"#,
        Check::Password,
    ),
    form(
        "database-url",
        "the password in the URL of a database or a broker",
        &[
            "postgres",
            "ecto:",
            "mysql",
            "mariadb",
            "mongodb",
            "redis",
            "valkey",
            "amqp",
            "mssql",
            "sqlserver",
            "clickhouse",
            "cockroach",
            "couchdb",
            "neo4j",
            "bolt",
            "oracle",
            "nats:",
            "kafka",
            "ldap",
            "mqtt",
            "timescale",
            "cassandra",
            "elastic",
        ],
        r#"(?i)\b(?:postgres(?:ql)?|ecto|mysqlx?|mariadb|mongodb(?:\+srv)?|rediss?|valkeys?|amqps?|mssql|sqlserver|clickhouse|cockroachdb|couchdbs?|neo4j(?:\+s|\+ssc)?|bolt|oracle|nats|kafka|ldaps?|mqtts?|timescaledb|cassandra|elasticsearch)(?:\+\w+)?://[^\s:/@"'<>]{0,80}:(?P<secret>[^\s/@"'<>]{3,200})@"#,
        Check::Password,
    ),
    form(
        "basic-auth-url",
        "the password in an address",
        &["://"],
        r#"(?i)\b(?:https?|ftps?|sftp|ssh|wss?|git|smtps?|imaps?|socks5h?|s3)(?:\+\w+)?://[^\s:/@"'<>]{0,80}:(?P<secret>[^\s/@"'<>]{3,200})@"#,
        Check::Password,
    ),
    // `"Authorization" => "Bearer …"`, `{"authorization", "Basic …"}`, `Authorization: Token …`
    form(
        "authorization-header",
        "the credentials of a header",
        &["authorization"],
        r#"(?i)authorization["'`\])>]{0,3}\s{0,8}(?:=>|<-|:=|=|:|,)\s{0,8}(?:<<|~[sc]|[fbr])?["'(]{0,2}\s{0,4}(?:bearer|basic|token|digest|negotiate|apikey|key|splunk|genie-?key|bot|sso-key)[\s=]{1,4}(?P<secret>[A-Za-z0-9._~+/=:-]{8,})"#,
        Check::Password,
    ),
    form(
        "bearer-token",
        "a bearer token where no header is named",
        &["bearer"],
        r#"(?i)(?:\bbearer\s{1,4}|:bearer\s{0,4},\s{0,8}["'])(?P<secret>[A-Za-z0-9._~+/=-]{16,})"#,
        Check::Key,
    ),
    form(
        "basic-auth-option",
        "the password of a user, as clients of HTTP take it",
        &["basic", "--user", "-u "],
        r#"(?:(?:(?:\{|\()\s{0,4}:?basic\s{0,4},\s{0,8}<{0,2}|\bbasic_auth\s{0,4}[:=]\s{0,4}\{?)["'][^"'\s:]{1,80}(?::|["']\s{0,4},\s{0,8}["'])|(?:--user|-u)[ =]["']?[\w.@+-]{1,80}:)(?P<secret>[^"'\s]{4,})"#,
        Check::Password,
    ),
    form(
        "authenticate-call",
        "the password of a call of Python or R",
        &["httpbasicauth", "req_auth_basic", "authenticate(", "auth=(", "auth = ("],
        r#"(?:HTTPBasicAuth\(|req_auth_basic\((?:\s*\w+\s*,)?|\bauthenticate\(|\bauth\s?=\s?\()\s{0,8}["'][^"'\n]{0,80}["']\s{0,4},\s{0,8}(?:password\s?=\s?)?["'](?P<secret>[^"'\n]{4,})["']"#,
        Check::Value,
    ),
    form(
        "connection-string",
        "the password in a connection string",
        &["pwd=", "password=", "pass="],
        r#"(?i)\b(?:pwd|password|pass)\s?=\s?(?P<secret>[^;"'\s{}<>$&)\\]{4,})(?:;|["'\s]|\z)"#,
        Check::Value,
    ),
    form(
        "netrc",
        "a password as `.netrc` keeps it",
        &["machine"],
        r"\bmachine\s+\S+\s+login\s+\S+\s+password\s+(?P<secret>[^\s\x22']{4,})",
        Check::Value,
    ),
    form(
        "pgpass",
        "a password as `.pgpass` keeps it",
        &[":5432:"],
        r"(?m)(?:^|[\x22'])[\w.*-]+:5432:[\w.*-]+:[\w.*-]+:(?P<secret>[^\s:\x22']{4,})",
        Check::Value,
    ),
];
