//! The headers that all requests of a sink have.

use super::body::Form;
use crate::event::Invalid;
use crate::net::{Credentials, Secret};
use hyper::header::{
    AUTHORIZATION, CONNECTION, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, HeaderName,
    HeaderValue, TRANSFER_ENCODING,
};
use std::collections::BTreeMap;

/// Tells a repeated request from a new one; see the draft `draft-ietf-httpapi-idempotency-key-header`.
pub const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
/// They follow from the body, or are the business of the connection.
const OURS: [HeaderName; 5] =
    [CONTENT_LENGTH, CONTENT_ENCODING, TRANSFER_ENCODING, CONNECTION, IDEMPOTENCY_KEY];

/// The headers, those that `options` name last: what is said about the type of the content counts.
pub fn read(
    options: &BTreeMap<String, Secret>,
    credentials: Option<&Credentials>,
    form: &Form,
) -> Result<HeaderMap, Invalid> {
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(form.content_type()));
    if let Some(encoding) = form.content_encoding() {
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static(encoding));
    }
    if let Some(credentials) = credentials {
        let mut value = HeaderValue::try_from(credentials.header())
            .map_err(|_| Invalid::new("auth", "it can't be said in a header"))?;
        value.set_sensitive(true);
        headers.insert(AUTHORIZATION, value);
    }
    for (name, value) in options {
        let key = format!("headers.{name}");
        let name = HeaderName::try_from(name.as_str())
            .map_err(|_| Invalid::new(&key, format!("`{name}` is no name of a header")))?;
        if OURS.contains(&name) {
            let help = "leave it out: it is set for each request";
            return Err(Invalid::new(&key, format!("`{name}` can't be chosen")).help(help));
        }
        if name == AUTHORIZATION && credentials.is_some() {
            let help = "leave out one of the two";
            return Err(Invalid::new(&key, "`auth` says already who we are").help(help));
        }
        let mut value = HeaderValue::try_from(value.reveal())
            .map_err(|_| Invalid::new(&key, "the value has a character that no header can hold"))?;
        value.set_sensitive(true);
        headers.insert(name, value);
    }
    Ok(headers)
}
