//! Tokens that publish packages and images.

use super::super::rule::{Builtin, token};
use super::named;

pub const RULES: &[Builtin] = &[
    token("npm-token", "a token of npm", &["npm_"], r"\bnpm_[A-Za-z0-9]{36}"),
    token("pypi-token", "a token of PyPI", &["pypi-age"], r"\bpypi-AgE[A-Za-z0-9_-]{50,}"),
    token("rubygems-key", "an API key of RubyGems", &["rubygems_"], r"\brubygems_[a-f0-9]{48}\b"),
    token("crates-io-token", "a token of crates.io", &["cio"], r"\bcio[A-Za-z0-9]{32}\b"),
    token("nuget-key", "an API key of NuGet", &["oy2"], r"\boy2[a-z0-9]{43}\b"),
    token("hex-key", "an API key of Hex", &["hex_"], named!(r"hex(?:_api)?_key", r"[a-f0-9]{32}")),
    token("docker-token", "a token of Docker", &["dckr_"], r"\bdckr_[op]at_[A-Za-z0-9_-]{27,}"),
    token(
        "artifactory-token",
        "a token of JFrog Artifactory",
        &["akcp", "cmvmdgtuo"],
        r"\bAKCp[0-9][A-Za-z0-9]{60,}|\bcmVmdGtuO[A-Za-z0-9]{50,}",
    ),
    token("clojars-token", "a token of Clojars", &["clojars_"], r"\bCLOJARS_[a-f0-9]{60}\b"),
    token(
        "huggingface-token",
        "a token of Hugging Face",
        &["hf_", "api_org_"],
        r"\b(?:hf_|api_org_)[A-Za-z]{34,}",
    ),
];
