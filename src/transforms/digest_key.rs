//! The key that turns a digest into an HMAC, as `audit_policy` and `redact` take it.

use crate::event::{Invalid, Secret};
use hmac::{Hmac, Mac};
use sha2::Sha256;
use std::path::Path;

/// With a shorter key, a digest of known text tells the key.
const BYTES_MIN: usize = 16;

/// Reads `file`, the option `digest_key_file`, where there is one: its text without the end of its last line is the key.
pub fn read(
    file: Option<&Path>,
    read: &dyn Fn(&Path) -> Result<String, String>,
) -> Result<Option<Secret>, Invalid> {
    let Some(file) = file else { return Ok(None) };
    let key = "digest_key_file";
    let name = file.display();
    let text = read(file).map_err(|why| Invalid::new(key, format!("`{name}` can't be read: {why}")))?;
    let text = text.strip_suffix('\n').unwrap_or(&text);
    Ok(Some(Secret::new(text.strip_suffix('\r').unwrap_or(text))))
}

/// A state that has taken the key in: that of the option `digest_key`, or else of the file.
pub fn keyed(
    written: Option<&Secret>,
    file: Option<&Path>,
    read: Option<&Secret>,
) -> Result<Option<Hmac<Sha256>>, Invalid> {
    let (option, key) = match (written, file) {
        (None, None) => return Ok(None),
        (Some(_), Some(_)) => {
            let message = "there are two keys, this one and `digest_key`";
            return Err(Invalid::new("digest_key_file", message).help("take one of them away"));
        }
        (Some(key), None) => ("digest_key", key),
        (None, Some(file)) => {
            let unread =
                || Invalid::new("digest_key_file", format!("`{}` has not been read", file.display()));
            ("digest_key_file", read.ok_or_else(unread)?)
        }
    };
    let key = key.reveal().as_bytes();
    if key.len() < BYTES_MIN {
        let message = format!("the key has {} bytes, and needs {BYTES_MIN} or more", key.len());
        return Err(Invalid::new(option, message).help("`openssl rand -hex 32` makes one"));
    }
    // A key of any length will do for HMAC.
    Hmac::new_from_slice(key).map(Some).map_err(|_| Invalid::new(option, "it can't be used as a key"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_stands_in_the_config_or_in_a_file() {
        let file = Some(Path::new("k"));
        let from = |text: &'static str| super::read(file, &move |_| Ok(text.to_owned())).unwrap().unwrap();
        for text in ["0123456789abcdef", "0123456789abcdef\n", "0123456789abcdef\r\n"] {
            assert_eq!(from(text).reveal(), "0123456789abcdef");
        }
        let key = from("0123456789abcdef\n");
        assert!(keyed(Some(&key), None, None).unwrap().is_some());
        assert!(keyed(None, file, Some(&key)).unwrap().is_some());
        assert!(keyed(None, None, None).unwrap().is_none());
        assert_eq!(keyed(Some(&key), file, Some(&key)).unwrap_err().key, "digest_key_file");
        assert_eq!(keyed(None, file, Some(&from("short\n"))).unwrap_err().key, "digest_key_file");
        assert_eq!(keyed(Some(&from("")), None, None).unwrap_err().key, "digest_key");
        assert!(super::read(file, &|_| Err("gone".into())).unwrap_err().message.contains("gone"));
    }
}
