//! What an answer, or none, means.

use crate::delivery::{Failure, SendError};
use chrono::DateTime;
use hyper::header::{HeaderMap, LOCATION, RETRY_AFTER};
use std::error::Error;
use std::time::Duration;

/// What an answer with this status means; none where the events are delivered.
pub fn judge(status: u16, headers: &HeaderMap, answer: String, now_ms: u64) -> Result<(), SendError> {
    let named = named(status);
    let failure = |why: String| Failure {
        why,
        status: Some(status),
        answer: answer.clone(),
        retry_after: retry_after(headers, now_ms),
    };
    match status {
        200..=299 => Ok(()),
        400 | 413 | 422 => Err(SendError::Data(failure(format!("the server answers {named}")))),
        408 | 425 | 429 | 500.. => Err(SendError::Transient(failure(format!("the server answers {named}")))),
        300..=399 => {
            let to = headers.get(LOCATION).and_then(|to| to.to_str().ok()).map(without_secrets);
            let to = to.map(|to| format!(" to {to}")).unwrap_or_default();
            let why = format!("the server answers {named}{to}; requests are not redirected: check `uri`");
            Err(SendError::Setup(failure(why)))
        }
        _ => {
            let advice = match status {
                401 | 403 => "check `auth`, and what its user may do",
                404 => "check the path of `uri`",
                405 => "check `method` and the path of `uri`",
                407 => "check the user in the variable of the proxy",
                415 => "check `framing`, `encoding`, `compression`, and the header `content-type`",
                _ => "check `uri` and what the server expects",
            };
            Err(SendError::Setup(failure(format!("the server answers {named}; {advice}"))))
        }
    }
}

/// A status with its name.
fn named(status: u16) -> String {
    let known = hyper::StatusCode::from_u16(status).ok();
    match known.and_then(|status| status.canonical_reason()) {
        Some(name) => format!("{status} {name}"),
        None => status.to_string(),
    }
}

/// An address without the part that may hold a token.
fn without_secrets(address: &str) -> String {
    let address = address.split(['?', '#']).next().unwrap_or_default();
    match address.split_once("://") {
        Some((scheme, rest)) => {
            let host = rest.split('/').next().unwrap_or_default();
            let user = host.rfind('@').map_or(0, |at| at + 1);
            format!("{scheme}://{}", rest.get(user..).unwrap_or_default())
        }
        None => address.to_owned(),
    }
}

/// `Retry-After`, in seconds or as a date.
fn retry_after(headers: &HeaderMap, now_ms: u64) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(secs) = text.parse::<u64>() {
        return Some(Duration::from_secs(secs));
    }
    let date = DateTime::parse_from_rfc2822(text).ok()?.timestamp_millis();
    Some(Duration::from_millis(u64::try_from(date).ok()?.saturating_sub(now_ms)))
}

/// What it means that there is no answer.
pub fn no_answer(error: &reqwest::Error, timeout: Duration, host: &str) -> SendError {
    // The innermost reason is what a person can do something about.
    let mut reason = error.to_string();
    let mut inner: Option<&(dyn Error + 'static)> = error.source();
    while let Some(error) = inner {
        reason = error.to_string();
        inner = error.source();
    }
    let why = if error.is_timeout() {
        format!("no answer within {} s", timeout.as_secs_f64())
    } else if error.is_connect() {
        format!("can't connect to {host}, or to the proxy in front of it: {reason}{}", advice(&reason))
    } else {
        format!("the connection has failed: {reason}")
    };
    let failure = Failure { why, ..Failure::default() };
    match error.is_connect() && !advice(&reason).is_empty() {
        true => SendError::Setup(failure),
        false => SendError::Transient(failure),
    }
}

/// What to do about a connection that will not come about by itself.
fn advice(reason: &str) -> &'static str {
    if reason.contains("certificate") {
        "; name who has signed it by `tls.ca_file`, and the host as it stands in it by `uri`"
    } else if reason.contains("proxy authorization required") {
        "; check the user in the variable of the proxy"
    } else if reason.contains("unsupported scheme") {
        "; check the variable of the proxy"
    } else {
        ""
    }
}

/// A collector may take a request and refuse records in it, without saying which: all that can be done is to say so.
pub fn tell_of_partial_success(answer: &str) {
    let answer: serde_json::Value = serde_json::from_str(answer).unwrap_or_default();
    let refused = answer.pointer("/partialSuccess/rejectedLogRecords");
    // 64-bit integers are strings in this form.
    let number = |value: &serde_json::Value| value.as_u64().or_else(|| value.as_str()?.parse().ok());
    let refused = refused.and_then(number).unwrap_or(0);
    if refused > 0 {
        tracing::error!(refused, "the collector has refused records of a request and does not say which");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hyper::header::{HeaderName, HeaderValue};

    fn headers(name: HeaderName, value: &str) -> HeaderMap {
        HeaderMap::from_iter([(name, HeaderValue::from_str(value).unwrap())])
    }

    #[test]
    fn a_receiver_says_when_in_seconds_or_by_a_date() {
        // 1994-11-06T08:49:37Z, the date of RFC 9110.
        let date_ms = 784_111_777_000;
        let after = |text: &str, now_ms| retry_after(&headers(RETRY_AFTER, text), now_ms);
        assert_eq!(after("120", 0), Some(Duration::from_secs(120)));
        assert_eq!(
            after("Sun, 06 Nov 1994 08:49:37 GMT", date_ms - 1_500),
            Some(Duration::from_millis(1_500))
        );
        assert_eq!(after("Sun, 06 Nov 1994 08:49:37 GMT", date_ms + 1), Some(Duration::ZERO), "it is past");
        for nonsense in ["", "soon", "-1", "1.5", "Sun, 06 Nov"] {
            assert_eq!(after(nonsense, 0), None, "{nonsense}");
        }
        assert_eq!(retry_after(&HeaderMap::new(), 0), None);
    }

    #[test]
    fn where_a_redirection_leads_is_told_without_secrets() {
        for (address, told) in [
            ("https://ann:pw@other.example:8443/x?token=1#y", "https://other.example:8443/x"),
            ("/login?next=%2F", "/login"),
            ("http://other.example/a@b", "http://other.example/a@b"),
        ] {
            assert_eq!(without_secrets(address), told);
        }
        let answer = judge(308, &headers(LOCATION, "https://b.example/"), String::new(), 0);
        let Err(SendError::Setup(failure)) = answer else { panic!("{answer:?}") };
        assert!(failure.why.contains("308 Permanent Redirect to https://b.example/;"), "{}", failure.why);
    }

    #[test]
    fn no_status_is_taken_for_another() {
        for status in 100..1000 {
            let meaning = judge(status, &HeaderMap::new(), "said".into(), 0);
            let expected = match status {
                200..=299 => "ok",
                400 | 413 | 422 => "data",
                408 | 425 | 429 | 500.. => "transient",
                _ => "setup",
            };
            let found = match &meaning {
                Ok(()) => "ok",
                Err(SendError::Data(_)) => "data",
                Err(SendError::Transient(_)) => "transient",
                Err(SendError::Setup(_)) => "setup",
            };
            assert_eq!(found, expected, "{status}");
            if let Err(SendError::Data(f) | SendError::Transient(f) | SendError::Setup(f)) = meaning {
                assert_eq!((f.status, f.answer.as_str()), (Some(status), "said"));
            }
        }
    }
}
