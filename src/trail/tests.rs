//! Writing a trail, and what a crash between any two steps of that leaves.

use super::hashes::leaf_of;
use super::key::{self, SignerKey};
use super::layout::{CHECKPOINT, NEW_SUFFIX, Tile, segments};
use super::note::Checkpoint;
use super::tree::Edge;
use super::{Retention, Settings, Writer};
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use tlog_tiles::Hash;

type Files = BTreeMap<PathBuf, Vec<u8>>;

/// A folder of its own.
struct Place(PathBuf);

impl Place {
    fn new() -> Place {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        // In memory, where that is to be had: what is synced here is synced some thousand times.
        let memory = Path::new("/dev/shm");
        let root = if memory.is_dir() { memory.to_owned() } else { std::env::temp_dir() };
        let path = root.join(format!("evaltrail-trail-{}-{number}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        key::generate("example.com/audit", &path.join("key")).unwrap();
        Place(path)
    }

    fn key(&self) -> SignerKey {
        SignerKey::read(&self.0.join("key")).unwrap()
    }

    fn settings(&self) -> Settings {
        Settings {
            folder: self.0.join("trail"),
            memory: self.0.join("data"),
            segment_max_bytes: 4_000,
            retention: Retention::default(),
        }
    }

    fn open(&self) -> Writer {
        Writer::open(self.settings(), self.key()).unwrap()
    }

    fn files(&self) -> Files {
        let mut found = Files::new();
        ["trail", "data"].iter().for_each(|folder| list(&self.0.join(folder), &mut found));
        found
    }

    /// Puts the folder into a state.
    fn set(&self, files: &Files) {
        for folder in ["trail", "data"] {
            fs::remove_dir_all(self.0.join(folder)).unwrap_or_default();
        }
        for (path, bytes) in files {
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, bytes).unwrap();
        }
    }

    /// The signed checkpoint and the records in front of it fit.
    #[track_caller]
    fn holds(&self, size: u64) -> Checkpoint {
        let folder = self.0.join("trail");
        let bytes = fs::read(folder.join(CHECKPOINT)).unwrap();
        let checkpoint = Checkpoint::open(&bytes, &self.key().verifier().unwrap()).unwrap();
        assert_eq!(checkpoint.size, size);
        let mut lines = Vec::new();
        for segment in segments(&folder).unwrap() {
            assert_eq!(segment.first, lines.len() as u64);
            lines.extend(fs::read_to_string(segment.path).unwrap().lines().map(str::to_owned));
        }
        assert_eq!(lines, (0..size).map(record).collect::<Vec<String>>());
        assert_eq!(checkpoint.root, root(size));
        assert_eq!(Edge::read(&folder, size).unwrap().root(), checkpoint.root);
        checkpoint
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).unwrap_or_default();
    }
}

fn list(folder: &Path, found: &mut Files) {
    for entry in fs::read_dir(folder).into_iter().flatten() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => list(&path, found),
            false => drop(found.insert(path.clone(), fs::read(&path).unwrap())),
        }
    }
}

fn record(number: u64) -> String {
    format!("{{\"n\":{number},\"fill\":\"{}\"}}", "x".repeat(number as usize % 40))
}

fn root(size: u64) -> Hash {
    let mut tree = Edge::default();
    (0..size).for_each(|at| tree.push(leaf_of(record(at).as_bytes()), &mut Vec::new()));
    tree.root()
}

/// Gives a writer the records, those that it has already too.
fn append(writer: &mut Writer, numbers: std::ops::Range<u64>) {
    for number in numbers {
        writer.append(u128::from(number) + 1, |out| out.extend_from_slice(record(number).as_bytes()));
    }
}

/// The order in which a commit writes: records, journal and tiles in any order, checkpoint.
fn step(path: &Path, journal_first: bool) -> (u32, PathBuf) {
    let text = path.to_str().unwrap();
    let rank = match () {
        () if text.contains("/records/") => 0,
        () if text.contains("/data/") && journal_first => 1,
        () if text.contains("/tile/") => 2,
        () if text.contains("/data/") => 3,
        () if text.ends_with(NEW_SUFFIX) => 4,
        () => 5,
    };
    (rank, path.to_owned())
}

/// Every state that a crash in a commit from `before` to `after` records can leave.
fn crashes(before: u64, after: u64, journal_first: bool) {
    let place = Place::new();
    let mut writer = place.open();
    append(&mut writer, 0..before);
    writer.commit(0).unwrap();
    drop(writer);
    let old = place.files();
    let mut writer = place.open();
    append(&mut writer, before..after);
    writer.commit(0).unwrap();
    drop(writer);
    let new = place.files();
    let mut steps: Vec<&PathBuf> = new.keys().filter(|path| old.get(*path) != new.get(*path)).collect();
    steps.sort_by_key(|path| step(path, journal_first));
    for done in 0..=steps.len() {
        for torn in [false, true] {
            let mut state = old.clone();
            for path in &steps[..done] {
                state.insert((*path).clone(), new[*path].clone());
            }
            if let Some(path) = steps.get(done).filter(|_| torn) {
                let (whole, kept) = (&new[*path], old.get(*path).map_or(0, Vec::len));
                let len = kept.max(whole.len() / 2).min(whole.len() - 1);
                // A rename is never seen half done.
                let is_renamed = path.ends_with(CHECKPOINT);
                state.insert(
                    (*path).clone(),
                    if is_renamed {
                        old.get(*path).cloned().unwrap_or_default()
                    } else {
                        whole[..len].to_vec()
                    },
                );
                if is_renamed && !old.contains_key(*path) {
                    state.remove(*path);
                }
            }
            place.set(&state);
            let is_signed = steps[..done].iter().any(|path| path.starts_with(place.0.join("data")));
            let mut writer = place.open();
            let have = if is_signed { after } else { before };
            assert_eq!(writer.size(), have, "{before} to {after}, {done} steps, torn: {torn}");
            // Everything comes again, and some more.
            append(&mut writer, 0..after + 3);
            writer.commit(0).unwrap();
            drop(writer);
            place.holds(after + 3);
        }
    }
}

#[test]
fn no_crash_between_two_steps_loses_or_doubles_a_record() {
    for (before, after) in
        [(0, 1), (0, 300), (1, 2), (255, 256), (256, 257), (200, 600), (512, 513), (511, 1_030)]
    {
        crashes(before, after, true);
        crashes(before, after, false);
    }
}

#[test]
fn what_a_level_above_gets_outlives_a_crash() {
    crashes(65_500, 65_600, true);
}

/// A journal from before the trail's checkpoint is no harm, one from another history is.
#[test]
fn a_memory_that_is_older_fits_and_another_history_does_not() {
    let place = Place::new();
    let mut writer = place.open();
    append(&mut writer, 0..300);
    writer.commit(0).unwrap();
    drop(writer);
    let old = place.files();
    let mut writer = place.open();
    append(&mut writer, 300..700);
    writer.commit(0).unwrap();
    drop(writer);
    let mut state = place.files();
    let is_memory = |path: &Path| path.starts_with(place.0.join("data"));
    state.retain(|path, _| !is_memory(path));
    let lost = state.clone();
    state.extend(old.clone().into_iter().filter(|(path, _)| is_memory(path)));
    for state in [&state, &lost] {
        place.set(state);
        let mut writer = place.open();
        append(&mut writer, 700..701);
        writer.commit(0).unwrap();
        drop(writer);
        place.holds(701);
    }
    // The same key signs another history somewhere else.
    place.set(&Files::new());
    let mut writer = place.open();
    append(&mut writer, 5..900);
    writer.commit(0).unwrap();
    drop(writer);
    let mut other = place.files();
    other.retain(|path, _| !is_memory(path));
    other.extend(old.into_iter().filter(|(path, _)| is_memory(path)));
    place.set(&other);
    let why = Writer::open(place.settings(), place.key()).err().unwrap();
    assert!(why.0.contains("there are two histories"), "{}", why.0);
    assert_eq!(place.files(), other);
}

#[test]
fn a_newline_in_a_record_does_not_make_two() {
    let place = Place::new();
    let mut writer = place.open();
    writer.append(1, |out| out.extend_from_slice(b"{\n\"a\":1\n}"));
    writer.commit(0).unwrap();
    drop(writer);
    let (_, text) =
        place.files().into_iter().find(|(path, _)| path.to_str().unwrap().contains("/records/")).unwrap();
    assert_eq!(text, b"{ \"a\":1 }\n");
    assert_eq!(place.open().size(), 1);
}

#[test]
fn a_new_day_begins_a_new_segment_where_records_go_by_age() {
    let place = Place::new();
    let mut settings = place.settings();
    settings.retention.days = std::num::NonZeroU32::new(1);
    let mut writer = Writer::open(settings, place.key()).unwrap();
    // Later than the files are: the clock of this test is ahead of that of the disk, by days.
    let day = |day: u64| (30_000 + day) * 86_400_000;
    for round in 0..4 {
        append(&mut writer, round * 2..round * 2 + 2);
        writer.commit(day(round)).unwrap();
    }
    let left: Vec<u64> = segments(&place.0.join("trail")).unwrap().iter().map(|one| one.first).collect();
    assert_eq!(left, [6]);
    let note = fs::read(place.0.join("trail/minimum-index")).unwrap();
    let first = super::note::open_minimum_index(&note, &place.key().verifier().unwrap());
    assert_eq!(first, Ok(6));
    drop(writer);
    assert_eq!(place.open().size(), 8);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Whatever comes between commits: ends, repeats, more.
    #[test]
    fn a_trail_holds_each_record_once(steps in prop::collection::vec((0..4_u8, 1..400_u64), 1..12)) {
        let place = Place::new();
        let (mut writer, mut next) = (place.open(), 0);
        let mut published = 0;
        for (what, count) in steps {
            match what {
                0 | 1 => {
                    append(&mut writer, next..next + count);
                    next += count;
                }
                // From where a source might begin again.
                2 => append(&mut writer, published.min(next.saturating_sub(count))..next),
                _ => {
                    drop(writer);
                    writer = place.open();
                    prop_assert_eq!(writer.size(), published);
                    append(&mut writer, 0..next);
                }
            }
            if count % 3 > 0 {
                writer.commit(0).unwrap();
                published = next;
            }
        }
        writer.commit(0).unwrap();
        drop(writer);
        if next > 0 {
            place.holds(next);
            let partial = Tile { level: 0, index: next / 256, width: (next % 256).max(1) };
            prop_assert!(next % 256 == 0 || place.0.join("trail").join(partial.path()).exists());
        }
    }
}
