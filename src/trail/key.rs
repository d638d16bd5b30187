//! Keys of trails, in the forms of [signed-note](https://c2sp.org/signed-note): what signs is secret and stands in a
//! file of its own, `PRIVATE+KEY+<name>+<id>+<key>`; what checks is public, `<name>+<id>+<key>`. The name of the key is
//! the origin of the trail: one key signs one trail.

use super::layout;
use base64::prelude::{BASE64_STANDARD, Engine};
use ed25519_dalek::SECRET_KEY_LENGTH;
use signed_note::{StandardSigner, StandardVerifier, Verifier as _};
use std::fs::{self, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;

/// A key file that is longer is none.
const FILE_BYTES_MAX: u64 = 64 * 1024;
const FILE_MODE: u32 = 0o600;
/// Of Ed25519, in front of a key.
const ALGORITHM: u8 = 1;
/// The longest origin: it is part of the name of a folder.
const ORIGIN_BYTES_MAX: usize = 200;

/// What checks the signatures of a trail.
#[derive(Clone)]
pub struct VerifierKey {
    pub(super) verifier: StandardVerifier,
}

impl VerifierKey {
    /// Reads the form `<name>+<id>+<key>`.
    ///
    /// # Errors
    ///
    /// Says what is wrong, for people.
    pub fn parse(text: &str) -> Result<VerifierKey, String> {
        let text = text.trim();
        if text.starts_with("PRIVATE+KEY+") {
            return Err(
                "this is the key that signs, which is secret: give the one that `trail keygen` printed"
                    .into(),
            );
        }
        match StandardVerifier::new(text) {
            Ok(verifier) => Ok(VerifierKey { verifier }),
            Err(e) => Err(format!(
                "{e}: a key looks like `example.com/audit+0123abcd+AZ...`, as `trail keygen` prints it"
            )),
        }
    }

    /// Reads the file `path`, which holds that form.
    ///
    /// # Errors
    ///
    /// Says what is wrong, for people.
    pub fn read(path: &Path) -> Result<VerifierKey, String> {
        let why = |e: String| format!("{}: {e}", path.display());
        let mut bytes = Vec::new();
        let file = layout::open(path).map_err(|e| why(e.to_string()))?;
        file.take(FILE_BYTES_MAX).read_to_end(&mut bytes).map_err(|e| why(e.to_string()))?;
        // What is no text is no key, and is told so.
        VerifierKey::parse(&String::from_utf8_lossy(&bytes)).map_err(why)
    }

    /// The origin of the trail that it is for.
    pub fn origin(&self) -> &str {
        self.verifier.name()
    }
}

/// What signs a trail.
pub struct SignerKey {
    pub(super) signer: StandardSigner,
    verifier: String,
    /// Whether others than its owner can read the file.
    is_open: bool,
}

impl SignerKey {
    /// Reads the file `path`.
    ///
    /// # Errors
    ///
    /// Says what is wrong, for people; never what the file holds.
    pub fn read(path: &Path) -> Result<SignerKey, String> {
        let why = |e: io::Error| format!("{}: {e}", path.display());
        let file = layout::open(path).map_err(why)?;
        let mode = file.metadata().map_err(why)?.permissions().mode();
        let mut bytes = Vec::new();
        file.take(FILE_BYTES_MAX).read_to_end(&mut bytes).map_err(why)?;
        let mut key = SignerKey::parse(String::from_utf8_lossy(&bytes).trim())
            .map_err(|e| format!("{}: {e}", path.display()))?;
        key.is_open = mode & 0o077 != 0;
        Ok(key)
    }

    fn parse(text: &str) -> Result<SignerKey, String> {
        let signer = StandardSigner::new(text).map_err(|_| {
            "this is no key that signs: it is made by `evaltrail trail keygen`, and begins with PRIVATE+KEY+".to_owned()
        })?;
        let mut parts = text.split('+').skip(2);
        let (name, encoded) =
            (parts.next().unwrap_or_default(), text.splitn(5, '+').nth(4).unwrap_or_default());
        let bytes = BASE64_STANDARD.decode(encoded).unwrap_or_default();
        let seed = bytes.get(1..).and_then(|seed| <[u8; SECRET_KEY_LENGTH]>::try_from(seed).ok());
        let seed = seed.ok_or("the key has a wrong length")?;
        check_origin(name)?;
        Ok(SignerKey { signer, verifier: verifier_of(name, &seed), is_open: false })
    }

    /// The origin of the trail that it is for.
    pub fn origin(&self) -> &str {
        self.verifier.split('+').next().unwrap_or_default()
    }

    /// The key that checks what this one signs, in its public form.
    pub fn verifier_text(&self) -> &str {
        &self.verifier
    }

    /// The same, ready to check.
    pub fn verifier(&self) -> Result<VerifierKey, String> {
        VerifierKey::parse(&self.verifier)
    }

    /// Whether the permissions of its file let others read it.
    pub fn is_open(&self) -> bool {
        self.is_open
    }
}

fn verifier_of(origin: &str, seed: &[u8; SECRET_KEY_LENGTH]) -> String {
    let public = ed25519_dalek::SigningKey::from_bytes(seed).verifying_key();
    signed_note::new_ed25519_verifier_key(origin, &public)
}

/// Whether a trail can have this origin.
///
/// # Errors
///
/// Says what is wrong, for people.
pub fn check_origin(origin: &str) -> Result<(), String> {
    let is_odd = |c: char| c.is_whitespace() || c.is_control() || c == '+';
    let why = if origin.is_empty() {
        "is empty"
    } else if origin.len() > ORIGIN_BYTES_MAX {
        "is longer than 200 bytes"
    } else if origin.contains(is_odd) {
        "has a space, a control character or a plus in it"
    } else {
        return Ok(());
    };
    Err(format!(
        "the origin {why}: it names the trail for the whole world, as `example.com/livebook/audit` does"
    ))
}

/// Makes a key for `origin`, writes what signs into a new file at `path`, for its owner alone, and gives what checks.
///
/// # Errors
///
/// Says what is wrong, for people. A file that is there is never overwritten.
pub fn generate(origin: &str, path: &Path) -> Result<String, String> {
    check_origin(origin)?;
    let mut seed = [0; SECRET_KEY_LENGTH];
    getrandom::fill(&mut seed).map_err(|e| format!("the system gives no random bytes: {e}"))?;
    let verifier = verifier_of(origin, &seed);
    let mut bytes = vec![ALGORITHM];
    bytes.extend_from_slice(&seed);
    let id = verifier.split('+').nth(1).unwrap_or_default();
    let text = format!("PRIVATE+KEY+{origin}+{id}+{}\n", BASE64_STANDARD.encode(bytes));
    let why = |e: io::Error| match e.kind() {
        io::ErrorKind::AlreadyExists => {
            let path = path.display();
            format!(
                "{path}: there is a file, and a key is never overwritten: give another name; `evaltrail trail pubkey \
                 --key-file {path}` prints what checks"
            )
        }
        io::ErrorKind::NotFound => {
            format!("{}: its folder is not there: make it first, or give another name", path.display())
        }
        _ => format!("{}: {e}", path.display()),
    };
    let mut file = OpenOptions::new().write(true).create_new(true).mode(FILE_MODE).open(path).map_err(why)?;
    let written = file
        .set_permissions(fs::Permissions::from_mode(FILE_MODE))
        .and_then(|()| file.write_all(text.as_bytes()))
        .and_then(|()| file.sync_all());
    if let Err(e) = written {
        // Half a key is worse than none; the first error counts.
        fs::remove_file(path).unwrap_or_default();
        return Err(why(e));
    }
    Ok(verifier)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_that_was_made_can_be_read_and_fits_its_public_form() {
        let folder = std::env::temp_dir().join(format!("evaltrail-key-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let path = folder.join("key");
        let public = generate("example.com/audit", &path).unwrap();
        let key = SignerKey::read(&path).unwrap();
        assert_eq!((key.origin(), key.verifier_text()), ("example.com/audit", public.as_str()));
        assert!(!key.is_open());
        assert_eq!(VerifierKey::parse(&public).unwrap().origin(), "example.com/audit");
        assert!(generate("example.com/audit", &path).unwrap_err().contains("never overwritten"));
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        assert!(SignerKey::read(&path).unwrap().is_open());
        let secret = fs::read_to_string(&path).unwrap();
        assert!(VerifierKey::parse(&secret).err().unwrap().contains("secret"));
        fs::write(&path, public).unwrap();
        assert!(SignerKey::read(&path).err().unwrap().contains("no key that signs"));
        fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn an_origin_is_a_word() {
        assert!(check_origin("example.com/a-b").is_ok());
        for bad in ["", "a b", "a+b", "a\nb", "a\u{a0}b", &"x".repeat(201)] {
            assert!(check_origin(bad).is_err(), "{bad:?}");
        }
    }
}
