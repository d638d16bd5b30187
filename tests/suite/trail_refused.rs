//! What the sink `trail` refuses to go on with: a trail that was put back, cut, moved or replaced, or that is another's.

use crate::harness::{Run, TIMEOUT, until};
use crate::trail::{Ground, put_back, snapshot};
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::PathBuf;

/// Whatever is put back to an older state is not signed anew.
#[test]
fn a_trail_that_has_lost_what_was_signed_is_not_gone_on_with() {
    let ground = Ground::new("checkpoint.every_records = 1");
    ground.log(0..300);
    ground.once().exits(0);
    let before = snapshot(&ground.path("trail"));
    ground.log(300..600);
    ground.once().exits(0);
    let whole = snapshot(&ground.path("trail"));
    let put_back = |files: &BTreeMap<PathBuf, Vec<u8>>| put_back(&ground.path("trail"), files);
    let refuses = |words: &str| {
        ground.log(600..601);
        let kept = snapshot(&ground.path("trail"));
        let live = ground.live();
        live.says(words);
        live.kill();
        assert!(snapshot(&ground.path("trail")) == kept, "{words}");
    };
    put_back(&before);
    refuses("it was put back to an older state");
    put_back(&BTreeMap::new());
    refuses("signed with 600 records, and holds 0");
    let mut cut = whole.clone();
    let segment = ground.path("trail/records/00000000000000000000.jsonl");
    let text = cut.get_mut(&segment).unwrap();
    text.truncate(text.len() / 2);
    put_back(&cut);
    refuses("records were taken away");
    let mut changed = whole.clone();
    let (_, tile) = changed.iter_mut().find(|(path, _)| path.ends_with("002.p/88")).unwrap();
    tile[5] ^= 1;
    put_back(&changed);
    refuses("its tiles do not lead to the root that is signed");
    let mut unsigned = whole.clone();
    unsigned.get_mut(&ground.path("trail/checkpoint")).unwrap()[20] ^= 1;
    put_back(&unsigned);
    refuses("look with `evaltrail trail verify`");
    put_back(&whole);
    let outcome = ground.once().exits(0);
    assert!(!outcome.stderr.contains("WARN"), "{}", outcome.stderr);
}

/// Records that were signed and acknowledged don't come again: no start takes them away.
#[test]
fn a_trail_whose_checkpoint_is_gone_is_not_begun_anew() {
    let ground = Ground::new("");
    ground.log(0..4);
    ground.once().exits(0);
    let whole = fs::read(ground.path("trail/checkpoint")).unwrap();
    // What was signed stands in the data_dir.
    fs::remove_file(ground.path("trail/checkpoint")).unwrap();
    ground.once().exits(0);
    assert_eq!(fs::read(ground.path("trail/checkpoint")).unwrap(), whole);
    ground.holds(4);
    fs::remove_file(ground.path("trail/checkpoint")).unwrap();
    let kept = snapshot(&ground.path("trail"));
    let refuses = || {
        ground.log(4..5);
        let live = ground.live();
        live.says("the trail has records but no checkpoint, and this data_dir does not know it: put the checkpoint back");
        live.kill();
        assert!(snapshot(&ground.path("trail")) == kept);
    };
    let other = Run::new(&["trail", "keygen", "example.com/other", "--key-file", "other.key"]);
    other.current_dir(ground.dir.path()).run().exits(0);
    ground.change("trail.key", "other.key");
    refuses();
    ground.change("other.key", "trail.key");
    fs::rename(ground.path("data"), ground.path("before")).unwrap();
    refuses();
    // As the message says: with its checkpoint it is a trail again.
    fs::write(ground.path("trail/checkpoint"), whole).unwrap();
    fs::remove_dir_all(ground.path("data")).unwrap();
    fs::rename(ground.path("before"), ground.path("data")).unwrap();
    ground.once().exits(0);
    assert_eq!(ground.numbers(), [0, 1, 2, 3, 4, 4]);
    ground.verify();
}

/// Without the checkpoint, a memory that has less than the trail proves nothing of the rest.
#[test]
fn a_memory_that_is_damaged_or_older_takes_nothing_for_unsigned() {
    let ground = Ground::new("");
    ground.log(0..4);
    ground.once().exits(0);
    let memory = ground.path("data/trails");
    let older = snapshot(&memory);
    ground.log(4..8);
    ground.once().exits(0);
    let newer = snapshot(&memory);
    let whole = fs::read(ground.path("trail/checkpoint")).unwrap();
    fs::remove_file(ground.path("trail/checkpoint")).unwrap();
    let kept = snapshot(&ground.path("trail"));
    ground.log(8..9);
    let is_journal = |path: &PathBuf| path.file_name().unwrap().to_str().unwrap().starts_with("journal-");
    let mut without = newer.clone();
    without.retain(|path, _| !is_journal(path));
    assert!(without.len() < newer.len());
    let mut damaged = newer.clone();
    damaged.iter_mut().filter(|(path, _)| is_journal(path)).for_each(|(_, bytes)| bytes[12] ^= 1);
    let mut torn = newer.clone();
    torn.iter_mut()
        .filter(|(path, _)| is_journal(path))
        .for_each(|(_, bytes)| *bytes.last_mut().unwrap() ^= 1);
    for (state, words) in [
        (&without, "the trail has records but no checkpoint, and this data_dir does not know it"),
        (&damaged, "the trail has records but no checkpoint, and this data_dir does not know it"),
        (&torn, "the checkpoint is gone, and there are more records than the 4 that"),
        (&older, "the checkpoint is gone, and there are more records than the 4 that"),
    ] {
        put_back(&memory, state);
        let live = ground.live();
        live.says(words);
        live.kill();
        assert!(snapshot(&ground.path("trail")) == kept, "{words}");
    }
    put_back(&memory, &newer);
    fs::write(ground.path("trail/checkpoint"), whole).unwrap();
    ground.once().exits(0);
    assert_eq!(ground.numbers(), (0..9).collect::<Vec<_>>());
    ground.verify();
}

#[test]
fn a_checkpoint_is_put_back_where_retention_has_removed_the_first_records_too() {
    let ground =
        Ground::new("segment.max_bytes = 1024\nretention.max_bytes = 3000\ncheckpoint.every_records = 1");
    for round in 0..10 {
        ground.log(round * 5..round * 5 + 5);
        ground.once().exits(0);
    }
    assert!(!ground.path("trail/records/00000000000000000000.jsonl").exists());
    let whole = fs::read(ground.path("trail/checkpoint")).unwrap();
    fs::remove_file(ground.path("trail/checkpoint")).unwrap();
    let said = ground.once().exits(0).stderr;
    assert!(said.contains("the checkpoint was gone; it is put back from the data_dir"), "{said}");
    assert_eq!(fs::read(ground.path("trail/checkpoint")).unwrap(), whole);
    ground.verify();
    // Where the newest records are gone too, it is not.
    fs::remove_file(ground.path("trail/checkpoint")).unwrap();
    let newest = snapshot(&ground.path("trail/records")).into_keys().next_back().unwrap();
    fs::write(&newest, "").unwrap();
    let live = ground.live();
    live.says("records were taken away");
    live.kill();
    assert!(ground.checkpoint().is_none());
}

#[test]
fn a_trail_has_one_writer_and_its_own_key() {
    let ground = Ground::new("");
    ground.log(0..5);
    ground.once().exits(0);
    let lock = File::open(ground.path("trail")).unwrap();
    lock.lock().unwrap();
    ground.log(5..6);
    let live = ground.live();
    live.says("another evaltrail writes this trail");
    drop(lock);
    // It is tried again.
    assert!(until(TIMEOUT, || ground.size() == 6));
    live.kill();
    let other = Run::new(&["trail", "keygen", "example.com/other", "--key-file", "other.key"]);
    other.current_dir(ground.dir.path()).run().exits(0);
    ground.change("trail.key", "other.key");
    let live = ground.live();
    live.says("it is not signed by this key");
    live.kill();
    ground.change("other.key\"", "other.key\"\norigin = \"example.com/audit\"");
    let live = ground.live();
    live.says("the key is for the origin example.com/other, and `origin` is example.com/audit");
    live.kill();
}

/// What is written into a folder that was moved away would be in neither.
#[test]
fn a_trail_that_is_moved_while_it_is_written_holds_the_sink_up() {
    let ground = Ground::new("checkpoint.every_secs = 0");
    ground.log(0..5);
    let mut live = ground.live();
    assert!(until(TIMEOUT, || ground.size() == 5));
    fs::rename(ground.path("trail"), ground.path("gone")).unwrap();
    fs::create_dir(ground.path("trail")).unwrap();
    ground.log(5..8);
    live.says("it was removed, moved or replaced while it was written");
    assert!(snapshot(&ground.path("trail")).is_empty());
    fs::remove_dir(ground.path("trail")).unwrap();
    fs::rename(ground.path("gone"), ground.path("trail")).unwrap();
    assert!(until(TIMEOUT, || ground.size() == 8), "{}", live.stderr());
    // The folder of the records alone.
    fs::rename(ground.path("trail/records"), ground.path("records")).unwrap();
    ground.log(8..9);
    assert!(until(TIMEOUT, || live.stderr().matches("it was removed, moved or replaced").count() > 1));
    fs::rename(ground.path("records"), ground.path("trail/records")).unwrap();
    assert!(until(TIMEOUT, || ground.size() == 9), "{}", live.stderr());
    live.signal_when_ready("TERM");
    assert_eq!(live.wait(TIMEOUT).0.code(), Some(0));
    ground.holds(9);
}

#[test]
fn another_folder_for_the_same_key_is_told_from_a_trail_that_was_cut() {
    let ground = Ground::new("");
    ground.log(0..5);
    ground.once().exits(0);
    ground.change("path = \"trail\"", "path = \"other\"");
    ground.log(5..6);
    let live = ground.live();
    live.says("and one key signs one trail: make another key for this one");
    live.kill();
    // Moved as a whole it is the same trail.
    fs::remove_dir_all(ground.path("other")).unwrap();
    fs::rename(ground.path("trail"), ground.path("other")).unwrap();
    ground.once().exits(0);
    fs::rename(ground.path("other"), ground.path("trail")).unwrap();
    ground.holds(6);
}

/// Whoever can put a pipe into the folder must not keep anybody waiting for its writer.
#[test]
fn pipes_in_the_place_of_files_keep_nobody_waiting() {
    let ground = Ground::new("");
    ground.log(0..300);
    ground.once().exits(0);
    let pipe = |name: &str| {
        let path = ground.path(name);
        fs::remove_file(&path).unwrap_or_default();
        assert!(std::process::Command::new("mkfifo").arg(&path).status().unwrap().success());
    };
    let verify = || {
        let run = Run::new(&["trail", "verify", "trail", "--key", &ground.verifier]);
        run.current_dir(ground.dir.path()).run().exits(1)
    };
    for name in [
        "trail/minimum-index",
        "trail/records/00000000000000000000.jsonl",
        "trail/tile/0/000",
        "trail/tile/0/001.p/44",
        "trail/checkpoint",
    ] {
        pipe(name);
        verify();
    }
    let show = Run::new(&["trail", "show", "trail"]).current_dir(ground.dir.path()).run().exits(1);
    assert!(show.stderr.contains("no regular file"), "{}", show.stderr);
    pipe("trail.key");
    ground.log(300..301);
    let live = ground.live();
    live.says("trail.key: it is no regular file");
    live.kill();
}
