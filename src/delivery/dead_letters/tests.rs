//! Letters that are written, read, torn and taken out.

use super::*;
use proptest::prelude::*;
use std::sync::atomic::{AtomicU32, Ordering};

/// A folder that goes with the test.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Folder {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("evaltrail-letters-{}-{number}", std::process::id()));
        fs::create_dir(&path).unwrap();
        Folder(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).unwrap_or_default();
    }
}

fn letter(letters: &DeadLetters, message: &str) -> Vec<u8> {
    let text = serde_json::json!({ "message": message }).to_string();
    let event = Event::from_json(text.into_bytes().into(), Origin::nowhere()).unwrap();
    let refusal = Refusal { reason: "refused".into(), status: Some(400), answer: "no\n\"x\"".into() };
    let mut out = Vec::new();
    letters.write(&event, &refusal, 1_700_000_000_123, &mut out);
    out
}

#[test]
fn a_letter_says_everything_on_one_line() {
    let letters = DeadLetters::new(Path::new("/d"), "siem");
    assert_eq!(letters.path(), Path::new("/d/dead_letters/siem.jsonl"));
    assert_eq!(
        String::from_utf8(letter(&letters, "m")).unwrap(),
        "{\"time\":\"2023-11-14T22:13:20.123Z\",\"sink\":\"siem\",\"reason\":\"refused\",\"status\":400,\
         \"answer\":\"no\\n\\\"x\\\"\",\"origin\":{\"source\":\"\",\"fingerprint\":\"0000000000000000\",\
         \"offset\":0,\"received_ms\":0},\"event\":{\"message\":\"m\"}}\n"
    );
}

#[test]
fn a_line_that_a_crash_has_torn_is_cut() {
    let folder = Folder::new();
    let letters = DeadLetters::new(&folder.0, "siem");
    let (a, b) = (letter(&letters, "a"), letter(&letters, &"b".repeat(3 * TAIL_BYTES as usize)));
    letters.append(&a).unwrap();
    for torn in [&b"{\"time\":"[..], &b[..b.len() - 1]] {
        let mut file = OpenOptions::new().append(true).open(letters.path()).unwrap();
        file.write_all(torn).unwrap();
        letters.append(&b).unwrap();
        assert_eq!(fs::read(letters.path()).unwrap(), [&a[..], &b[..]].concat());
        fs::write(letters.path(), &a).unwrap();
    }
}

#[test]
fn what_is_added_while_letters_are_taken_out_is_kept() {
    let folder = Folder::new();
    let letters = Arc::new(DeadLetters::new(&folder.0, "siem"));
    let lines: Vec<Vec<u8>> = (0..200).map(|n| letter(&letters, &format!("n{n}"))).collect();
    let writer = {
        let (letters, lines) = (Arc::clone(&letters), lines.clone());
        std::thread::spawn(move || lines.iter().for_each(|line| letters.append(line).unwrap()))
    };
    let mut taken = Vec::new();
    while taken.len() < lines.len() {
        // What a replay does: reads whole lines, and takes those out that it has read.
        let text = fs::read(letters.path()).unwrap_or_default();
        let seen = memchr::memrchr(b'\n', &text).map_or(0, |at| at + 1);
        taken.extend(text[..seen].split_inclusive(|b| *b == b'\n').map(<[u8]>::to_vec));
        if seen > 0 {
            take_out(letters.path(), seen as u64, |_| false).unwrap();
        }
        std::thread::yield_now();
    }
    writer.join().unwrap();
    assert!(taken == lines, "each once, in order");
    assert!(!letters.path().exists());
}

#[test]
fn what_is_no_letter_is_told_from_one() {
    let said = |line: &str| read_letter(line.as_bytes()).unwrap_err();
    assert!(said("x").contains("no JSON object"));
    assert!(said("{\"event\":{}}").contains("no `origin`"));
    let origin = r#"{"source":"s","fingerprint":"zz","offset":1,"received_ms":2}"#;
    assert!(said(&format!("{{\"origin\":{origin},\"event\":{{}}}}")).contains("`fingerprint`"));
    assert!(said("{\"origin\":{\"source\":1},\"event\":{}}").contains("`origin` can't be read"));
    let origin = origin.replace("zz", "1f");
    assert!(said(&format!("{{\"origin\":{origin},\"event\":7}}")).contains("`event` is no JSON object"));
    assert!(said(&format!("{{\"origin\":{origin}}}")).contains("no `event`"));
}

proptest! {
    #[test]
    fn a_letter_brings_its_event_back(
        message in ".*", answer in ".*", source in ".*", file in proptest::option::of(".*"),
        peer in proptest::option::of(".*"), fingerprint: u64, offset: u64, received: u64,
    ) {
        let letters = DeadLetters::new(Path::new("/d"), "siem");
        let stream = Stream { source, file, peer, fingerprint, ..Stream::default() };
        let origin = Origin::new(Arc::new(stream), offset, received);
        let text = serde_json::json!({ "message": message, "metadata": { "code": answer } }).to_string();
        let event = Event::from_json(text.clone().into_bytes().into(), origin.clone()).unwrap();
        let mut line = Vec::new();
        let refusal = Refusal { reason: "given_up".into(), status: None, answer };
        letters.write(&event, &refusal, received, &mut line);
        prop_assert_eq!(line.iter().filter(|byte| **byte == b'\n').count(), 1);
        let read = read_letter(line.strip_suffix(b"\n").unwrap()).unwrap();
        let mut written = Vec::new();
        read.write_json(&mut written);
        prop_assert_eq!(String::from_utf8(written).unwrap(), text);
        prop_assert_eq!(read.origin().stream(), origin.stream());
        prop_assert_eq!((read.origin().offset(), read.origin().received_ms()), (offset, received));
        prop_assert_eq!(read.origin().id(), origin.id());
    }
}
