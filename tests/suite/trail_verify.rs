//! `evaltrail trail verify`, `prove` and `check-proof`: what they say, and their exit codes.

mod go;
mod maker;
mod proofs;
mod properties;
mod several;

use crate::harness::{Outcome, Run, TempDir};
use evaltrail::trail::note::Checkpoint;
use maker::{Key, Made, ORIGIN, records};
use serde_json::{Value, json};
use std::fs::File;
use std::path::Path;

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn verify(made: &Made, key: &str, more: &[&str]) -> Outcome {
    Run::new(&["trail", "verify", text(&made.folder()), "--key", key]).arg_all(more).run()
}

#[test]
fn a_good_trail_is_said_to_be_good() {
    let key = Key::new();
    let made = Made::new(&key, records(300), 100, &[]);
    let outcome = verify(&made, &key.text, &[]).exits(0);
    let root = made.stored.root(300).to_string();
    for words in [
        "example.com/audit: everything is as it was signed",
        "300",
        &root,
        "2026-11-22T00:00:00.000Z",
        "2026-11-22T00:04:59.299Z",
        "with no older checkpoint",
    ] {
        assert!(outcome.stdout.contains(words), "{words}: {}", outcome.stdout);
    }
    // The key from a file, and JSON.
    made.dir.write("vkey", &format!("{}\n", key.text));
    let outcome = verify(&made, text(&made.dir.path().join("vkey")), &["--json"]).exits(0);
    let report: Value = serde_json::from_str(&outcome.stdout).unwrap();
    assert_eq!(
        (&report["good"], &report["size"], &report["root"]),
        (&json!(true), &json!(300), &json!(root))
    );
    made.retain(&key, 200);
    let outcome = verify(&made, &key.text, &[]).exits(0);
    assert!(outcome.stdout.contains("kept      from record 200 on"), "{}", outcome.stdout);
}

#[test]
fn a_key_of_another_trail_is_said_to_be_that() {
    let (key, dir) = (Key::new(), TempDir::new());
    let made = Made::new(&key, records(3), 100, &[]);
    let keygen = Run::new(&["trail", "keygen", "example.com/other"]).current_dir(dir.path());
    let other = keygen.run().exits(0).stdout;
    let outcome = verify(&made, other.trim(), &[]).exits(1);
    let said = "example.com/audit: not signed by this key: this trail is of example.com/audit, the key is of example.com/other\n";
    assert!(outcome.stdout.starts_with(said), "{}", outcome.stdout);
    let report: Value =
        serde_json::from_str(&verify(&made, other.trim(), &["--json"]).exits(1).stdout).unwrap();
    assert_eq!(report["other_origin"], "example.com/audit");
}

#[test]
fn what_was_done_is_said_with_its_place() {
    let key = Key::new();
    let made = Made::new(&key, records(300), 100, &[]);
    let path = made.folder().join("records/00000000000000000100.jsonl");
    let good = std::fs::read_to_string(&path).unwrap();
    let line = good.lines().nth(20).unwrap();
    let offset = good.find(line).unwrap();
    let place = format!("records/00000000000000000100.jsonl:21 (byte {offset}): ");
    for (changed, words) in [
        (good.replace(line, "{\"message\":\"another\"}"), "changed: record 120 is not what was signed"),
        (good.replace(&format!("{line}\n"), ""), "missing: record 120 is gone"),
        (good.replace(line, &format!("{{}}\n{line}")), "inserted: this line was never signed"),
    ] {
        std::fs::write(&path, changed).unwrap();
        let outcome = verify(&made, &key.text, &[]).exits(1);
        assert!(outcome.stdout.contains("NOT as it was signed"), "{}", outcome.stdout);
        assert!(outcome.stdout.contains(&format!("{place}{words}")), "{place}{words}\n{}", outcome.stdout);
        let outcome = verify(&made, &key.text, &["--json"]).exits(1);
        let report: Value = serde_json::from_str(&outcome.stdout).unwrap();
        assert_eq!((&report["faults"][0]["record"], &report["faults"][0]["line"]), (&json!(120), &json!(21)));
    }
}

#[test]
fn bad_usage_exits_with_2() {
    let (key, dir) = (Key::new(), TempDir::new());
    let folder = text(dir.path());
    dir.write("empty", "");
    for (args, words) in [
        (vec!["verify", "/nonexistent/trail", "--key", &key.text], "no such folder"),
        (vec!["verify", folder, "--key", &key.text], "no trail"),
        (vec!["verify", folder, "--key", "nonsense"], "a key looks like"),
        (vec!["verify", folder, "--key", &key.text, "--against", "/nonexistent/old"], "/nonexistent/old"),
        (vec!["verify", folder], "--key"),
        (vec!["prove", "/nonexistent/trail", "0", "--key", "none"], "no such folder"),
        (vec!["prove", folder, "first", "--key", "none"], "invalid value"),
        (vec!["check-proof", "/nonexistent/proof", "--key", &key.text], "/nonexistent/proof"),
    ] {
        let outcome = Run::new(&["trail"]).arg_all(&args).run().exits(2);
        assert!(outcome.stderr.contains(words), "{args:?}: {}", outcome.stderr);
        assert_eq!(outcome.stdout, "");
    }
    let made = Made::new(&key, records(3), 100, &[]);
    let outcome = verify(&made, &key.text, &["--against", text(&dir.path().join("empty"))]).exits(2);
    assert!(outcome.stderr.contains("the file is empty"), "{}", outcome.stderr);
    std::fs::write(dir.path().join("empty"), "\n\n").unwrap();
    let outcome = verify(&made, &key.text, &["--against", text(&dir.path().join("empty"))]).exits(2);
    assert!(outcome.stderr.contains("the file is empty"), "{}", outcome.stderr);
}

#[test]
fn a_size_that_no_trail_has_is_refused() {
    let key = Key::new();
    let made = Made::new(&key, records(3), 100, &[]);
    let root = made.stored.root(3);
    for size in [u64::MAX, 1 << 63, (1 << 60) + 1] {
        let note = Checkpoint::sign(size, root, &key.signer).unwrap().note;
        std::fs::write(made.folder().join("checkpoint"), note).unwrap();
        let outcome = verify(&made, &key.text, &[]).exits(1);
        assert!(outcome.stdout.contains(&format!("no trail has {size} records")), "{}", outcome.stdout);
        let folder = made.folder();
        let outcome = Run::new(&["trail", "prove", text(&folder), "0", "--key", "none"]).run().exits(1);
        assert!(outcome.stderr.contains(&format!("no trail has {size} records")), "{}", outcome.stderr);
    }
    // One that could be, and is not: almost all of it is gone.
    let note = Checkpoint::sign(1 << 40, root, &key.signer).unwrap().note;
    std::fs::write(made.folder().join("checkpoint"), note).unwrap();
    let outcome = verify(&made, &key.text, &[]).exits(1);
    assert!(outcome.stdout.contains("tail cut: 1099511627773 records, 3 to"), "{}", outcome.stdout);
}

#[test]
fn a_trail_is_compared_with_checkpoints_of_before() {
    let (key, other) = (Key::new(), Key::new());
    let made = Made::new(&key, records(300), 100, &[]);
    let write = |name: &str, bytes: &[u8]| {
        std::fs::write(made.dir.path().join(name), bytes).unwrap();
        made.dir.path().join(name).to_str().unwrap().to_owned()
    };
    let longer = Made::new(&key, records(400), 100, &[]);
    let mut others = records(200);
    others[50].push(' ');
    let forked = Made::new(&key, others, 100, &[]);
    let line = |note: Vec<u8>| {
        json!({"message": String::from_utf8(note).unwrap(), "time": "now"}).to_string() + "\n"
    };
    let older = write("older", &made.note(&key, 120));
    let lines: String = [1, 17, 256, 257, 300].iter().map(|size| line(made.note(&key, *size))).collect();
    let all = write("lines.jsonl", lines.as_bytes());
    let outcome = verify(&made, &key.text, &["--against", &older, "--against", &all]).exits(0);
    assert!(outcome.stdout.contains("with 6 checkpoints of before"), "{}", outcome.stdout);

    let newer = write("newer", &longer.note(&key, 400));
    let outcome = verify(&made, &key.text, &["--against", &newer]).exits(1);
    assert!(
        outcome.stdout.contains("tail cut: this checkpoint was signed for 400 records"),
        "{}",
        outcome.stdout
    );
    assert!(outcome.stdout.contains("the trail has 300: 100 are gone"), "{}", outcome.stdout);

    let fork = write("fork.jsonl", (lines.clone() + &line(forked.note(&key, 200))).as_bytes());
    let outcome = verify(&made, &key.text, &["--against", &fork]).exits(1);
    assert!(outcome.stdout.contains("fork.jsonl:6: another history"), "{}", outcome.stdout);

    let strange = write("strange.jsonl", (line(made.note(&other, 9)) + "{}\n").as_bytes());
    let outcome = verify(&made, &key.text, &["--against", &strange]).exits(1);
    for words in ["strange.jsonl:1: this is no checkpoint", "not signed by this key", "strange.jsonl:2: "] {
        assert!(outcome.stdout.contains(words), "{words}: {}", outcome.stdout);
    }
    // What was damaged is told; what never was a checkpoint of this trail is a wrong argument.
    let mut damaged = made.note(&key, 120);
    damaged[ORIGIN.len() + 8] ^= 1;
    let damaged = write("damaged", &damaged);
    let outcome = verify(&made, &key.text, &["--against", &damaged]).exits(1);
    assert!(outcome.stdout.contains("damaged: this is no checkpoint to compare with"), "{}", outcome.stdout);
    for content in ["hello\n", "{\"level\":\"info\"}\n"] {
        let wrong = write("wrong", content.as_bytes());
        let outcome = verify(&made, &key.text, &["--against", &wrong]).exits(2);
        let words = "this is no checkpoint of example.com/audit: it does not have the form of a signed note";
        assert!(outcome.stderr.contains(words) && outcome.stdout.is_empty(), "{}", outcome.stderr);
    }
    // With the checkpoint gone, an older one is what there is to go by.
    std::fs::remove_file(made.folder().join("checkpoint")).unwrap();
    let outcome = verify(&made, &key.text, &["--against", &older]).exits(1);
    assert!(outcome.stdout.contains("checkpoint: the checkpoint is missing"), "{}", outcome.stdout);
    assert!(outcome.stdout.contains("which is signed for 120 records"), "{}", outcome.stdout);
}

#[test]
fn a_trail_that_is_being_written_may_hold_more_than_is_signed() {
    let key = Key::new();
    let made = Made::new(&key, records(300), 100, &[]);
    let path = made.folder().join("records/00000000000000000200.jsonl");
    let good = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, good.clone() + "{\"n\":1}\n{\"n\":").unwrap();
    std::fs::write(made.folder().join("tile/0/001.p/45"), [7; 45 * 32]).unwrap();
    let outcome = verify(&made, &key.text, &[]).exits(1);
    for words in ["00200.jsonl:101 ", "not signed: 2 lines stand behind the 300 records", "tile/0/001.p/45: "]
    {
        assert!(outcome.stdout.contains(words), "{words}: {}", outcome.stdout);
    }
    let lock = File::open(made.folder()).unwrap();
    lock.lock().unwrap();
    let outcome = verify(&made, &key.text, &[]).exits(0);
    assert!(outcome.stdout.contains("the trail is being written"), "{}", outcome.stdout);
    // The partial tile that the size needs may be gone for the full one.
    let tile = std::fs::read(made.folder().join("tile/0/001.p/44")).unwrap();
    std::fs::remove_dir_all(made.folder().join("tile/0/001.p")).unwrap();
    let mut full = tile.clone();
    full.resize(256 * 32, 9);
    std::fs::write(made.folder().join("tile/0/001"), full).unwrap();
    verify(&made, &key.text, &[]).exits(0);
    // What is signed is checked as ever.
    std::fs::write(&path, good.replacen("Evaluating", "evaluating", 1)).unwrap();
    let outcome = verify(&made, &key.text, &[]).exits(1);
    assert!(outcome.stdout.contains("changed: record 200"), "{}", outcome.stdout);
}

#[test]
fn a_record_is_proven_to_whoever_has_the_key() {
    let key = Key::new();
    let made = Made::new(&key, records(300), 100, &[]);
    let folder = made.folder();
    let prove =
        |index: &str, key: &str| Run::new(&["trail", "prove", text(&folder), index, "--key", key]).run();
    let check =
        |proof: &str, key: &str| Run::new(&["trail", "check-proof", "-", "--key", key]).stdin(proof).run();
    let proof = prove("120", &key.text).exits(0);
    assert!(proof.stdout.starts_with("c2sp.org/tlog-proof@v1\nextra "), "{}", proof.stdout);
    assert_eq!(proof.stderr, "");
    let outcome = check(&proof.stdout, &key.text).exits(0);
    assert_eq!(outcome.stdout, format!("{}\n", made.records[120]));
    for words in ["record 120 of example.com/audit", "300 records"] {
        assert!(outcome.stderr.contains(words), "{}", outcome.stderr);
    }
    let outcome = check(&proof.stdout.replace("index 120", "index 121"), &key.text).exits(1);
    assert!(
        outcome.stderr.contains("nothing is proven: record, index and hashes do not lead"),
        "{}",
        outcome.stderr
    );
    assert_eq!(outcome.stdout, "");
    check(&proof.stdout, &Key::new().text).exits(1);
    assert!(prove("120", "none").exits(0).stderr.contains("nobody has checked who signed"));
    assert!(prove("300", &key.text).exits(1).stderr.contains("there is no record 300 in it yet"));
    made.dir.write("record", &format!("{}\n", made.records[120]));
    made.dir.write("other", &made.records[121]);
    for (file, code) in [("record", 0), ("other", 1)] {
        let path = made.dir.path().join(file);
        let run = Run::new(&["trail", "check-proof", "-", "--key", &key.text, "--record", text(&path)]);
        run.stdin(proof.stdout.clone()).run().exits(code);
    }
    // What does not fit is not proven.
    let path = folder.join("records/00000000000000000100.jsonl");
    let changed = std::fs::read_to_string(&path).unwrap().replacen("\"120 +", "\"999 +", 1);
    std::fs::write(&path, changed).unwrap();
    assert!(prove("120", &key.text).exits(1).stderr.contains("record 120 is not what was signed"));
    std::fs::write(folder.join("tile/0/000"), [1; 256 * 32]).unwrap();
    assert!(prove("5", &key.text).exits(1).stderr.contains("tile"));
    made.retain(&key, 100);
    assert!(prove("5", &key.text).exits(1).stderr.contains("the first that is kept is 100"));
}
