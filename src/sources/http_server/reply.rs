//! What a client is told.

use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{ALLOW, CONNECTION, CONTENT_TYPE, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};
use hyper::{Response, StatusCode};
use serde::Serialize;

/// When to come back where the pipeline is full, in seconds: a full queue moves on soon.
pub const RETRY_FULL_SECS: u32 = 1;
/// When to come back where the server is stopping or a delivery has failed, in seconds.
pub const RETRY_LATER_SECS: u32 = 5;

/// A fault that is listed.
#[derive(Debug, Serialize)]
pub struct Listed {
    /// The line, or the element of the array, from 1.
    pub line: u64,
    /// Why, in a word.
    pub reason: &'static str,
    /// Why exactly.
    pub detail: String,
}

/// What became of the records of a request.
#[derive(Debug, Default, Serialize)]
pub struct Counts {
    /// Records that were taken.
    pub accepted: u64,
    /// Records that could not be decoded.
    pub rejected: u64,
    /// The first of those.
    pub faults: Vec<Listed>,
    /// How many there are, where not all are listed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub faults_total: Option<u64>,
}

/// The body of every answer.
#[derive(Debug, Default, Serialize)]
struct Told {
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    #[serde(flatten)]
    counts: Option<Counts>,
    /// Set where a sink has refused a record for good: sending it again would change nothing.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    refused: bool,
}

/// An answer.
#[derive(Debug)]
pub struct Reply {
    /// Its status.
    pub status: StatusCode,
    told: Told,
    header: Option<(hyper::header::HeaderName, HeaderValue)>,
    closes: bool,
}

impl Reply {
    /// Everything that could be decoded is where it should be.
    pub fn taken(counts: Counts, refused: bool) -> Reply {
        let nothing = counts.accepted == 0 && counts.rejected > 0;
        let status = if nothing { StatusCode::BAD_REQUEST } else { StatusCode::OK };
        let error = nothing.then(|| "nothing in the body could be decoded".to_owned());
        Reply { status, told: Told { error, counts: Some(counts), refused }, header: None, closes: false }
    }

    /// The request can't be served.
    pub fn refusal(status: StatusCode, why: impl Into<String>) -> Reply {
        let told = Told { error: Some(why.into()), ..Told::default() };
        Reply { status, told, header: None, closes: false }
    }

    /// Says what became of the records all the same.
    pub fn with(self, counts: Counts) -> Reply {
        // Where nothing was read, there is nothing to tell.
        if counts.accepted + counts.rejected > 0 { self.counting(counts) } else { self }
    }

    /// The same, even where that is nothing.
    pub fn counting(mut self, counts: Counts) -> Reply {
        self.told.counts = Some(counts);
        self
    }

    /// How many records were taken, as far as it says.
    pub fn accepted(&self) -> u64 {
        self.told.counts.as_ref().map_or(0, |counts| counts.accepted)
    }

    /// The connection ends with it.
    pub fn closing(self) -> Reply {
        Reply { closes: true, ..self }
    }

    /// Asks to come back.
    pub fn retry_after(self, secs: u32) -> Reply {
        Reply { header: Some((RETRY_AFTER, HeaderValue::from(secs))), ..self }
    }

    /// Says which method is served.
    pub fn allow(self) -> Reply {
        Reply { header: Some((ALLOW, HeaderValue::from_static("POST"))), ..self }
    }

    /// Says how to show who one is.
    pub fn challenge(self, challenge: &'static str) -> Reply {
        Reply { header: Some((WWW_AUTHENTICATE, HeaderValue::from_static(challenge))), ..self }
    }

    /// Why it is no success.
    pub fn error(&self) -> Option<&str> {
        self.told.error.as_deref()
    }

    /// As it is sent; `closes` where the connection is to end for another reason. HTTP/2 has no such header.
    pub fn into_response(self, closes: bool, is_h2: bool) -> Response<Full<Bytes>> {
        let body = serde_json::to_vec(&self.told).unwrap_or_default();
        let mut response = Response::new(Full::new(Bytes::from(body)));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.extend(self.header);
        if (closes || self.closes) && !is_h2 {
            headers.insert(CONNECTION, HeaderValue::from_static("close"));
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(reply: &Reply) -> String {
        serde_json::to_string(&reply.told).unwrap()
    }

    #[test]
    fn counts_and_faults_are_told() {
        let fault = || Listed { line: 3, reason: "broken_json", detail: "d".into() };
        let counts = |accepted| Counts { accepted, rejected: 1, faults: vec![fault()], faults_total: None };
        let some = Reply::taken(counts(2), false);
        assert_eq!(some.status, StatusCode::OK);
        let faults = r#""faults":[{"line":3,"reason":"broken_json","detail":"d"}]"#;
        assert_eq!(body(&some), format!(r#"{{"accepted":2,"rejected":1,{faults}}}"#));
        let none = Reply::taken(counts(0), false);
        assert_eq!(none.status, StatusCode::BAD_REQUEST);
        assert!(body(&none).starts_with(r#"{"error":"nothing in the body could be decoded","accepted":0,"#));
        assert_eq!(Reply::taken(Counts::default(), false).status, StatusCode::OK);
        assert!(body(&Reply::taken(counts(2), true)).ends_with(r#","refused":true}"#));
        let late = Reply::refusal(StatusCode::SERVICE_UNAVAILABLE, "stopping").with(Counts::default());
        assert_eq!(body(&late), r#"{"error":"stopping"}"#);
    }
}
