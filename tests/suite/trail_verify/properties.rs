//! Whatever is changed in a trail is found, and the place is named.

use super::maker::{Key, Made, files, records};
use crate::dice::Dice;
use evaltrail::trail::verify::{Anchors, Kind, Report, verify};
use std::path::Path;

#[track_caller]
fn report(made: &Made, key: &Key) -> Report {
    verify(&made.folder(), &key.verifier, &Anchors::default()).unwrap()
}

#[track_caller]
fn is_good(made: &Made, key: &Key, what: &str) {
    let report = report(made, key);
    assert!(report.is_good(), "{what}: {:?}", report.faults);
    assert!(report.remarks.is_empty(), "{what}: {:?}", report.remarks);
    assert_eq!(report.size, Some(made.stored.size));
}

/// What can be done to the bytes of a file.
fn damage(dice: &mut Dice, bytes: &[u8]) -> (&'static str, Vec<u8>) {
    let len = bytes.len();
    let mut changed = bytes.to_vec();
    let at = dice.below(len.max(1));
    let mut lines: Vec<&[u8]> = bytes.split_inclusive(|byte| *byte == b'\n').collect();
    let (one, other) = (dice.below(lines.len().max(1)), dice.below(lines.len().max(1)));
    let what = match dice.below(8) {
        0 if len > 0 => {
            changed[at] ^= 1 << dice.below(8);
            "a bit is flipped"
        }
        1 if len > 0 => {
            changed.remove(at);
            "a byte is removed"
        }
        2 => {
            changed.insert(dice.below(len + 1), b"\nx0\x00"[dice.below(4)]);
            "a byte is inserted"
        }
        3 if len > 0 => {
            changed.truncate(at);
            "the file is cut"
        }
        4 if lines.len() > 1 => {
            lines.swap(one, other);
            changed = lines.concat();
            "two lines are swapped"
        }
        5 if !lines.is_empty() => {
            lines.remove(one);
            changed = lines.concat();
            "a line is removed"
        }
        6 => {
            lines.insert(one, b"{\"message\":\"forged\"}\n");
            changed = lines.concat();
            "a line is inserted"
        }
        7 if !lines.is_empty() => {
            let line = lines.remove(one);
            lines.insert(dice.below(lines.len() + 1), line);
            changed = lines.concat();
            "a line is moved"
        }
        _ => {
            changed.push(b'\n');
            "a newline is added"
        }
    };
    (what, changed)
}

/// The first line in which two texts differ.
fn first_difference(one: &[u8], other: &[u8]) -> usize {
    let (one, other): (Vec<&[u8]>, Vec<&[u8]>) = (
        one.split_inclusive(|byte| *byte == b'\n').collect(),
        other.split_inclusive(|byte| *byte == b'\n').collect(),
    );
    one.iter().zip(&other).take_while(|(one, other)| one == other).count()
}

/// Which file and record have to be named where the file `name` holds `changed` instead of `bytes`.
fn place(name: &str, bytes: &[u8], changed: &[u8]) -> (String, Option<u64>) {
    let digits = name.strip_prefix("records/").and_then(|name| name.strip_suffix(".jsonl"));
    let first: Option<u64> = digits.map(|digits| digits.parse().unwrap());
    (name.to_owned(), first.map(|first| first + first_difference(bytes, changed) as u64))
}

fn damage_each(made: &Made, key: &Key, dice: &mut Dice, rounds: usize) {
    let folder = made.folder();
    let names = files(&folder);
    for _ in 0..rounds {
        // Each kind of file has its turn.
        let kind = ["records/", "tile/", ""][dice.below(3)];
        let among: Vec<&String> = names.iter().filter(|name| name.starts_with(kind)).collect();
        let name = among[dice.below(among.len())];
        let path = folder.join(name);
        let bytes = std::fs::read(&path).unwrap();
        let (what, changed) = damage(dice, &bytes);
        if changed == bytes {
            continue;
        }
        std::fs::write(&path, &changed).unwrap();
        let report = report(made, key);
        let about = format!("{} records, {name}: {what}: {:?}", made.stored.size, report.faults);
        assert!(!report.is_good(), "{about}");
        let (file, record) = place(name, &bytes, &changed);
        assert_eq!(report.faults[0].file, file, "{about}");
        // A wrong tile may be all that was left of hashes of records that retention has removed.
        if report.faults[0].kind != Kind::Root {
            assert_eq!(report.faults[0].record, record, "{about}");
        }
        if let Some(line) = report.faults[0].line {
            let difference = first_difference(&bytes, &changed);
            assert_eq!(line, difference as u64 + 1, "{about}");
            let offset: usize =
                changed.split_inclusive(|byte| *byte == b'\n').take(difference).map(<[u8]>::len).sum();
            assert_eq!(report.faults[0].offset, Some(offset as u64), "{about}");
        }
        assert!(
            report.faults.iter().all(|fault| fault.file == file || !fault.is_sure),
            "nothing else is blamed: {about}"
        );
        std::fs::write(&path, &bytes).unwrap();
    }
}

#[test]
fn any_change_of_any_file_is_found_and_its_place_named() {
    let (key, mut dice) = (Key::new(), Dice::new(8));
    for size in [1_u64, 2, 3, 7, 40, 255, 256, 257, 300, 511, 512, 513, 700] {
        for per_file in [1_000, 256, 100, 7] {
            let older: Vec<u64> =
                [3, 40, 200, 256, 290, 600].into_iter().filter(|older| *older < size).collect();
            let made = Made::new(&key, records(size), per_file, &older);
            is_good(&made, &key, &format!("{size} records, {per_file} in a file"));
            damage_each(&made, &key, &mut dice, 40);
            is_good(&made, &key, "everything is put back");
        }
    }
}

#[test]
fn what_retention_has_removed_is_no_fault_and_what_is_left_is_checked() {
    let (key, mut dice) = (Key::new(), Dice::new(9));
    for (size, per_file, first) in [(20, 5, 10), (700, 100, 300), (700, 128, 512), (600, 256, 256)] {
        let made = Made::new(&key, records(size), per_file, &[size / 2]);
        made.retain(&key, first);
        is_good(&made, &key, "after retention");
        assert_eq!(report(&made, &key).first_kept, first);
        damage_each(&made, &key, &mut dice, 60);
        // Without the note, they are missing.
        std::fs::remove_file(made.folder().join("minimum-index")).unwrap();
        let fault = &report(&made, &key).faults[0];
        assert_eq!((fault.kind, fault.record, fault.count), (Kind::Missing, Some(0), first), "{fault:?}");
    }
}

#[test]
fn sizes_at_which_levels_begin_are_checked() {
    let (key, mut dice) = (Key::new(), Dice::new(10));
    let all: Vec<String> = (0..65_900).map(|at| format!("{{\"n\":{at}}}")).collect();
    for size in [65_535, 65_536, 65_537, 65_900] {
        let made = Made::new(&key, all[..size].to_vec(), 30_000, &[500, 65_400]);
        is_good(&made, &key, &format!("{size} records"));
        damage_each(&made, &key, &mut dice, 6);
    }
}

#[test]
fn an_empty_trail_is_one() {
    let key = Key::new();
    let made = Made::new(&key, Vec::new(), 10, &[]);
    is_good(&made, &key, "no records");
    std::fs::write(made.folder().join("records/00000000000000000000.jsonl"), "").unwrap();
    is_good(&made, &key, "a file that waits for its first record");
    std::fs::write(made.folder().join("records/00000000000000000000.jsonl"), "{}\n").unwrap();
    assert_eq!(report(&made, &key).faults[0].kind, Kind::Unsigned);
}

#[test]
fn files_that_are_removed_are_named() {
    let key = Key::new();
    for size in [300_u64, 700] {
        let made = Made::new(&key, records(size), 100, &[3, 290]);
        let folder = made.folder();
        for name in files(&folder) {
            let older = ["tile/0/000.p/3", "tile/0/001.p/34"];
            if older.contains(&name.as_str()) || (size == 700 && name == "tile/1/000.p/1") {
                continue;
            }
            let bytes = std::fs::read(folder.join(&name)).unwrap();
            std::fs::remove_file(folder.join(&name)).unwrap();
            let report = report(&made, &key);
            let fault = report.faults.first().unwrap_or_else(|| panic!("{name} is not missed"));
            match place(&name, b"", b"").1 {
                Some(first) => {
                    let kind = if first + 100 >= size { Kind::TailCut } else { Kind::Missing };
                    assert_eq!(
                        (fault.kind, fault.record, fault.count),
                        (kind, Some(first), 100),
                        "{name}: {fault:?}"
                    );
                }
                None => assert_eq!(fault.file, name, "{fault:?}"),
            }
            assert_eq!(report.faults.len(), 1, "{:?}", report.faults);
            std::fs::write(folder.join(&name), bytes).unwrap();
        }
        is_good(&made, &key, "everything is put back");
    }
}

#[test]
fn files_that_are_added_are_named() {
    let key = Key::new();
    let made = Made::new(&key, records(300), 100, &[]);
    for name in [
        "records/notes.txt",
        "records/00000000000000000300.jsonl",
        "records/00000000000000000150.jsonl",
        "records/1.jsonl",
        "tile/0/002",
        "tile/0/001.p/45",
        "tile/0/001.p/44x",
        "tile/0/0",
        "tile/2/000.p/1",
        "tile/0/000.p/9",
        "tile/entries/000",
        "tile/readme",
    ] {
        let path = made.folder().join(name);
        let existed = path.parent().unwrap().exists();
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, "x\n").unwrap();
        let report = report(&made, &key);
        assert!(report.faults.iter().any(|fault| fault.file == name), "{name}: {:?}", report.faults);
        std::fs::remove_file(&path).unwrap();
        if !existed {
            std::fs::remove_dir(path.parent().unwrap()).unwrap();
        }
    }
    for name in ["checkpoint.new", "minimum-index.new", "tile/0/001.new"] {
        std::fs::write(made.folder().join(name), "half").unwrap();
        let report = report(&made, &key);
        assert!(report.is_good() && report.remarks[0].contains(name), "{name}: {report:?}");
        std::fs::remove_file(made.folder().join(name)).unwrap();
    }
    is_good(&made, &key, "everything is removed");
}

fn edit(path: &Path, change: impl FnOnce(&mut Vec<String>)) {
    let text = std::fs::read_to_string(path).unwrap();
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    change(&mut lines);
    std::fs::write(path, lines.iter().map(|line| format!("{line}\n")).collect::<String>()).unwrap();
}

/// What was done, by kind, first record, and how many.
#[test]
fn what_was_done_is_told_from_what_else_it_could_be() {
    let key = Key::new();
    let check = |per_file: usize, at: u64, change: fn(&mut Vec<String>), wanted: &[(Kind, u64, u64)]| {
        let made = Made::new(&key, records(6_000), per_file, &[]);
        let name = format!("records/{at:020}.jsonl");
        edit(&made.folder().join(&name), change);
        let report = report(&made, &key);
        let found: Vec<_> =
            report.faults.iter().map(|fault| (fault.kind, fault.record.unwrap(), fault.count)).collect();
        assert_eq!(found, wanted, "{:?}", report.faults);
    };
    check(6_000, 0, |lines| lines[5].push('x'), &[(Kind::Changed, 5, 1)]);
    check(6_000, 0, |lines| lines[5..9].iter_mut().for_each(|line| line.push('x')), &[(Kind::Changed, 5, 4)]);
    check(6_000, 0, |lines| drop(lines.drain(5..9)), &[(Kind::Missing, 5, 4)]);
    check(6_000, 0, |lines| drop(lines.drain(5..5_500)), &[(Kind::Missing, 5, 5_495)]);
    check(6_000, 0, |lines| drop(lines.drain(5_990..)), &[(Kind::TailCut, 5_990, 10)]);
    check(6_000, 0, |lines| lines.insert(7, "new".into()), &[(Kind::Inserted, 7, 1)]);
    check(6_000, 0, |lines| lines.swap(7, 8), &[(Kind::OutOfOrder, 7, 2)]);
    check(6_000, 0, |lines| lines.swap(7, 700), &[(Kind::OutOfOrder, 7, 1)]);
    check(6_000, 0, |lines| lines[100..110].reverse(), &[(Kind::OutOfOrder, 100, 10)]);
    check(6_000, 0, |lines| lines[10..20].rotate_left(1), &[(Kind::OutOfOrder, 10, 1)]);
    check(6_000, 0, |lines| lines.push("new".into()), &[(Kind::Unsigned, 6_000, 1)]);
    check(1_000, 2_000, |lines| lines.push("new".into()), &[(Kind::Inserted, 3_000, 1)]);
    check(1_000, 2_000, |lines| drop(lines.drain(990..)), &[(Kind::Missing, 2_990, 10)]);
    check(1_000, 5_000, |lines| drop(lines.drain(990..)), &[(Kind::TailCut, 5_990, 10)]);
    check(1_000, 2_000, |lines| drop(lines.drain(..3)), &[(Kind::Missing, 2_000, 3)]);
    check(
        1_000,
        2_000,
        |lines| {
            lines[900].push('x');
            lines.remove(500);
            lines.insert(10, "new".into());
        },
        &[(Kind::Inserted, 2_010, 1), (Kind::Missing, 2_500, 1), (Kind::Changed, 2_900, 1)],
    );
    check(
        6_000,
        0,
        |lines| lines.iter_mut().skip(3).for_each(|line| line.push('x')),
        &[(Kind::Changed, 3, 5_997)],
    );
}
