//! What is signed: checkpoints, and the index of the first record that is kept.

use super::key::{SignerKey, VerifierKey};
use signed_note::{Note, NoteError, VerifierList};
use std::fmt;
use tlog_tiles::Hash;

/// The first line of the note that says what retention has removed; no origin can be it, since it has spaces.
const MINIMUM_INDEX_LINE: &str = "evaltrail minimum index v1";

/// A signed size and root.
#[derive(Clone, Debug, PartialEq)]
pub struct Checkpoint {
    /// How many records there are.
    pub size: u64,
    /// The root of their tree.
    pub root: Hash,
    /// The whole note, with its signatures.
    pub note: Vec<u8>,
}

/// What is wrong with a note.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BadNote {
    /// It does not have the form of a note, or its text not the form it should.
    Malformed,
    /// No signature in it is by the key.
    NotSigned,
    /// It is signed with the key's name and id, and the signature does not fit the text.
    BadSignature,
    /// It belongs to the trail with this origin.
    OtherOrigin(String),
}

impl fmt::Display for BadNote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BadNote::Malformed => f.write_str("it does not have the form of a signed note"),
            BadNote::NotSigned => f.write_str("it is not signed by this key"),
            BadNote::BadSignature => {
                f.write_str("its signature does not fit: its text or the signature was changed")
            }
            BadNote::OtherOrigin(origin) => write!(f, "it belongs to another trail, {origin}"),
        }
    }
}

/// The text of a note, whose signature by `key` is right.
fn open(bytes: &[u8], key: &VerifierKey) -> Result<Vec<u8>, BadNote> {
    let note = Note::from_bytes(bytes).map_err(|_| BadNote::Malformed)?;
    // What the crate reads in more than one way is taken in one only: no byte can be changed without being seen.
    if note.to_bytes() != bytes {
        return Err(BadNote::Malformed);
    }
    let verifiers = VerifierList::new(vec![Box::new(key.verifier.clone())]);
    match note.verify(&verifiers) {
        Ok(_) => Ok(note.text().to_vec()),
        Err(NoteError::InvalidSignature { .. }) => Err(BadNote::BadSignature),
        Err(NoteError::UnverifiedNote) => Err(BadNote::NotSigned),
        Err(_) => Err(BadNote::Malformed),
    }
}

/// The origin that a checkpoint names, whoever has signed it; none where it is no checkpoint.
pub fn origin_in(bytes: &[u8]) -> Option<String> {
    let note = Note::from_bytes(bytes).ok()?;
    let read = tlog_tiles::Checkpoint::from_bytes(note.text()).ok()?;
    Some(read.origin().to_owned())
}

/// Whether what may be damaged is a note of the trail `origin`: it begins with that, or has a signature in its name.
pub fn is_about(bytes: &[u8], origin: &str) -> bool {
    let text = String::from_utf8_lossy(bytes);
    let signature = format!("\u{2014} {origin} ");
    text.lines().next() == Some(origin) || text.lines().any(|line| line.starts_with(&signature))
}

fn sign(text: &str, key: &SignerKey) -> Result<Vec<u8>, BadNote> {
    let mut note = Note::new(text.as_bytes(), &[]).map_err(|_| BadNote::Malformed)?;
    note.add_sigs(&[&key.signer]).map_err(|_| BadNote::NotSigned)?;
    Ok(note.to_bytes())
}

impl Checkpoint {
    /// Signs that the trail has `size` records with this `root`.
    ///
    /// # Errors
    ///
    /// Only where the key has a name that no note can have.
    pub fn sign(size: u64, root: Hash, key: &SignerKey) -> Result<Checkpoint, BadNote> {
        let text =
            tlog_tiles::Checkpoint::new(key.origin(), size, root, "").map_err(|_| BadNote::Malformed)?;
        let text = String::from_utf8(text.to_bytes()).map_err(|_| BadNote::Malformed)?;
        Ok(Checkpoint { size, root, note: sign(&text, key)? })
    }

    /// Reads a checkpoint of the trail of `key`, and checks its signature.
    ///
    /// # Errors
    ///
    /// Says what is wrong with it.
    pub fn open(bytes: &[u8], key: &VerifierKey) -> Result<Checkpoint, BadNote> {
        let text = open(bytes, key)?;
        let read = tlog_tiles::Checkpoint::from_bytes(&text).map_err(|_| BadNote::Malformed)?;
        if read.to_bytes() != text {
            return Err(BadNote::Malformed);
        }
        if read.origin() != key.origin() {
            return Err(BadNote::OtherOrigin(read.origin().to_owned()));
        }
        Ok(Checkpoint { size: read.size(), root: *read.hash(), note: bytes.to_vec() })
    }
}

/// Signs that retention has removed all records in front of `first` from the trail.
///
/// # Errors
///
/// Only where the key has a name that no note can have.
pub fn sign_minimum_index(first: u64, key: &SignerKey) -> Result<Vec<u8>, BadNote> {
    sign(&format!("{MINIMUM_INDEX_LINE}\n{}\n{first}\n", key.origin()), key)
}

/// Reads what [`sign_minimum_index`] has written, and checks its signature.
///
/// # Errors
///
/// Says what is wrong with it.
pub fn open_minimum_index(bytes: &[u8], key: &VerifierKey) -> Result<u64, BadNote> {
    let text = String::from_utf8(open(bytes, key)?).map_err(|_| BadNote::Malformed)?;
    let lines: Vec<&str> = text.split('\n').collect();
    let [MINIMUM_INDEX_LINE, origin, first, ""] = lines.as_slice() else { return Err(BadNote::Malformed) };
    if *origin != key.origin() {
        return Err(BadNote::OtherOrigin((*origin).to_owned()));
    }
    let index: u64 = first.parse().map_err(|_| BadNote::Malformed)?;
    if index.to_string() == *first { Ok(index) } else { Err(BadNote::Malformed) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::sync::OnceLock;

    fn key(name: &str) -> SignerKey {
        let path = std::env::temp_dir().join(format!("evaltrail-note-{}-{name}", std::process::id()));
        super::super::key::generate(&format!("example.com/{name}"), &path).unwrap();
        let key = SignerKey::read(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        key
    }

    fn shared() -> &'static (SignerKey, VerifierKey) {
        static KEY: OnceLock<(SignerKey, VerifierKey)> = OnceLock::new();
        KEY.get_or_init(|| {
            let key = key("shared");
            let verifier = key.verifier().unwrap();
            (key, verifier)
        })
    }

    /// The example in the documentation of Go's package golang.org/x/mod/sumdb/note.
    #[test]
    fn a_published_note_is_read() {
        let key =
            VerifierKey::parse("PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW").unwrap();
        let text = "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n";
        let signature =
            "x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=";
        let note = format!("{text}\n\u{2014} PeterNeumann {signature}\n");
        assert_eq!(open(note.as_bytes(), &key), Ok(text.as_bytes().to_vec()));
    }

    #[test]
    fn notes_of_other_keys_and_trails_are_told_apart() {
        let (one, verifier) = shared();
        let checkpoint = Checkpoint::sign(3, Hash([7; 32]), one).unwrap();
        assert_eq!(Checkpoint::open(&checkpoint.note, verifier), Ok(checkpoint.clone()));
        let other = key("other").verifier().unwrap();
        assert_eq!(Checkpoint::open(&checkpoint.note, &other), Err(BadNote::NotSigned));
        assert_eq!(open_minimum_index(&checkpoint.note, verifier), Err(BadNote::Malformed));
        let minimum = sign_minimum_index(9, one).unwrap();
        assert_eq!(open_minimum_index(&minimum, verifier), Ok(9));
        assert_eq!(Checkpoint::open(&minimum, verifier), Err(BadNote::Malformed));
    }

    proptest! {
        #[test]
        fn no_byte_of_a_note_can_be_changed(at in 0..160_usize, to in any::<u8>(), size in any::<u64>()) {
            let (key, verifier) = shared();
            let checkpoint = Checkpoint::sign(size, Hash([9; 32]), key).unwrap();
            let mut changed = checkpoint.note.clone();
            let at = at % changed.len();
            prop_assume!(changed[at] != to);
            changed[at] = to;
            prop_assert!(Checkpoint::open(&changed, verifier).is_err());
            let mut cut = checkpoint.note.clone();
            cut.remove(at);
            prop_assert!(Checkpoint::open(&cut, verifier).is_err());
        }
    }
}
