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

fn read_all(taken: &Taken) -> Vec<Vec<u8>> {
    let mut text = Vec::new();
    taken.lines().unwrap().read_to_end(&mut text).unwrap();
    text.split_inclusive(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect()
}

#[test]
fn what_is_added_while_letters_are_away_is_kept() {
    let folder = Folder::new();
    let letters = Arc::new(DeadLetters::new(&folder.0, "siem"));
    let lines: Vec<Vec<u8>> = (0..200).map(|n| letter(&letters, &format!("n{n}"))).collect();
    let writer = {
        let (letters, lines) = (Arc::clone(&letters), lines.clone());
        std::thread::spawn(move || lines.iter().for_each(|line| letters.append(line).unwrap()))
    };
    let mut got = Vec::new();
    while got.len() < lines.len() {
        match Taken::take(letters.path()) {
            // What a replay does: every second letter is put back.
            Ok(taken) => {
                let read = read_all(&taken);
                assert_eq!(taken.give_back(|at| at % 2 == 1).unwrap() as usize, read.len() / 2);
                got.extend(read.into_iter().step_by(2));
            }
            Err(TakeError::Io(e)) if e.kind() == io::ErrorKind::NotFound => std::thread::yield_now(),
            Err(e) => panic!("{e:?}"),
        }
    }
    writer.join().unwrap();
    got.sort();
    let mut expected = lines;
    expected.sort();
    assert!(got == expected, "each once");
    assert!(!letters.path().exists());
}

#[test]
fn letters_are_away_for_one_at_a_time_and_come_back_after_a_kill() {
    let folder = Folder::new();
    let letters = DeadLetters::new(&folder.0, "siem");
    let (a, b) = (letter(&letters, "a"), letter(&letters, "b"));
    letters.append(&a).unwrap();
    let taken = Taken::take(letters.path()).unwrap();
    letters.append(&b).unwrap();
    assert!(matches!(Taken::take(letters.path()), Err(TakeError::Busy)));
    assert_eq!(read_all(&taken), std::slice::from_ref(&a), "what came since is not in it");
    // As a process that is killed leaves it.
    drop(taken);
    let again = Taken::take(letters.path()).unwrap();
    assert_eq!(read_all(&again), [b, a]);
    again.give_back(|_| false).unwrap();
    assert_eq!(fs::read_dir(letters.path().parent().unwrap()).unwrap().count(), 0);
}

#[test]
fn letters_stay_with_their_owner() {
    let folder = Folder::new();
    let letters = DeadLetters::new(&folder.0, "siem");
    letters.append(&letter(&letters, "a")).unwrap();
    let below = letters.path().parent().unwrap();
    // Only root can give files away, and only root has to.
    if std::os::unix::fs::chown(below, Some(65534), Some(65534)).is_err() {
        return;
    }
    std::os::unix::fs::chown(letters.path(), Some(65534), Some(1)).unwrap();
    fs::set_permissions(letters.path(), std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    let is = |expected: (u32, u32, u32)| {
        let found = fs::metadata(letters.path()).unwrap();
        assert_eq!((found.uid(), found.gid(), found.mode() & 0o777), expected);
    };
    Taken::take(letters.path()).unwrap().give_back(|_| true).unwrap();
    is((65534, 1, 0o600));
    let taken = Taken::take(letters.path()).unwrap();
    letters.append(&letter(&letters, "b")).unwrap();
    is((65534, 65534, 0o640));
    taken.give_back(|_| true).unwrap();
    is((65534, 65534, 0o640));
}

#[test]
fn what_is_no_file_is_let_alone_and_a_link_is_followed() {
    let folder = Folder::new();
    assert!(matches!(Taken::take(&folder.0), Err(TakeError::NoFile)));
    assert!(matches!(Taken::take(Path::new("/dev/null")), Err(TakeError::NoFile)));
    let link = folder.0.join("link.jsonl");
    let letters = DeadLetters::new(&folder.0, "siem");
    letters.append(&letter(&letters, "a")).unwrap();
    std::os::unix::fs::symlink(letters.path(), &link).unwrap();
    assert_eq!(Taken::take(&link).unwrap().give_back(|_| true).unwrap(), 1);
    assert!(link.is_symlink() && letters.path().is_file());
    Taken::take(&link).unwrap().give_back(|_| false).unwrap();
    assert!(link.is_symlink() && !letters.path().exists());
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
