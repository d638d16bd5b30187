//! Tokens of forges and of what builds their code.

use super::super::rule::{Builtin, token};
use super::named;

pub const RULES: &[Builtin] = &[
    token(
        "github-token",
        "a token of GitHub: personal, OAuth, app or refresh",
        &["ghp_", "gho_", "ghu_", "ghs_", "ghr_"],
        r"\bgh[opsur]_[A-Za-z0-9]{36,}",
    ),
    token(
        "github-fine-grained-token",
        "a fine-grained personal token of GitHub",
        &["github_pat_"],
        r"\bgithub_pat_[A-Za-z0-9]{22}_[A-Za-z0-9]{59}",
    ),
    token(
        "gitlab-token",
        "a token of GitLab, of any kind",
        &[
            "glpat-", "gldt-", "glrt-", "glptt-", "glcbt-", "glft-", "glsoat-", "glagent-", "gloas-",
            "glffct-", "glimt-", "glrtr-",
        ],
        r"\bgl(?:pat|dt|rt|rtr|ptt|cbt|ft|soat|agent|oas|ffct|imt)-[A-Za-z0-9_.-]{20,}",
    ),
    token(
        "gitlab-runner-registration",
        "a registration token of GitLab's runners",
        &["gr1348941"],
        r"\bGR1348941[A-Za-z0-9_-]{20,}",
    ),
    token("bitbucket-app-password", "an app password of Bitbucket", &["atbb"], r"\bATBB[A-Za-z0-9]{24,}"),
    token(
        "atlassian-token",
        "a token of Atlassian",
        &["atatt3", "atctt3"],
        r"\bAT[AC]TT3[A-Za-z0-9_=-]{60,}",
    ),
    token(
        "gitea-token",
        "a token of Gitea or Forgejo",
        &["gitea", "forgejo", "codeberg"],
        named!(r"gitea|forgejo|codeberg", r"[a-f0-9]{40}"),
    ),
    token(
        "sourcegraph-token",
        "a token of Sourcegraph",
        &["sgp_"],
        r"\bsgp_(?:[a-fA-F0-9]{16}_|local_)?[a-fA-F0-9]{40}\b",
    ),
    token(
        "circleci-token",
        "a token of CircleCI",
        &["ccipat_", "circleci", "circle_token"],
        r"\b(CCIPAT_[A-Za-z0-9]{20,}_[a-f0-9]{40})|(?i)circle(?:ci)?_?[\w .-]{0,40}[\x22'`\])]{0,3}\s{0,8}(?:=>|<-|=|:|,)\s{0,8}[\x22']?([a-f0-9]{40})\b",
    ),
    token(
        "buildkite-token",
        "a token of Buildkite",
        &["bkua_", "bkat_", "bkct_"],
        r"\bbk(?:ua|at|ct)_[a-f0-9]{40}\b",
    ),
    token("travis-token", "a token of Travis CI", &["travis"], named!(r"travis", r"[A-Za-z0-9_-]{22}")),
    token(
        "codecov-token",
        "a token of Codecov",
        &["codecov"],
        named!(r"codecov", r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"),
    ),
    token("sonar-token", "a token of SonarQube", &["sqp_", "squ_", "sqa_"], r"\bsq[pua]_[a-f0-9]{40}\b"),
    token(
        "snyk-token",
        "a token of Snyk",
        &["snyk"],
        named!(r"snyk", r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"),
    ),
    token("postman-key", "an API key of Postman", &["pmak-"], r"\bPMAK-[a-f0-9]{24}-[a-f0-9]{34}\b"),
    token("prefect-key", "an API key of Prefect", &["pnu_"], r"\bpnu_[A-Za-z0-9]{36}\b"),
];
