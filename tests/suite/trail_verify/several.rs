//! Several faults at a time, and those who know how a trail is made.

use super::maker::{Key, Made, files, records};
use evaltrail::trail::verify::{Anchors, FAULTS_MAX, Kind, Report, verify};

fn report(made: &Made, key: &Key) -> Report {
    verify(&made.folder(), &key.verifier, &Anchors::default()).unwrap()
}

fn found(report: &Report) -> Vec<(Kind, Option<u64>, &str)> {
    report.faults.iter().map(|fault| (fault.kind, fault.record, fault.file.as_str())).collect()
}

fn change_record(made: &Made, record: u64, per_file: u64) {
    let path = made.folder().join(format!("records/{:020}.jsonl", record / per_file * per_file));
    let text = std::fs::read_to_string(&path).unwrap();
    let line = &made.records[usize::try_from(record).unwrap()];
    std::fs::write(path, text.replace(&format!("{line}\n"), &format!("{line} \n"))).unwrap();
}

fn flip(made: &Made, name: &str) {
    let path = made.folder().join(name);
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[3] ^= 1;
    std::fs::write(path, bytes).unwrap();
}

#[test]
fn a_wrong_tile_does_not_keep_records_from_being_named() {
    let key = Key::new();
    for name in ["tile/0/000", "tile/0/002.p/188", "tile/1/000.p/2"] {
        for is_gone in [false, true] {
            let made = Made::new(&key, records(700), 100, &[]);
            match is_gone {
                true => std::fs::remove_file(made.folder().join(name)).unwrap(),
                false => flip(&made, name),
            }
            change_record(&made, 300, 100);
            let report = report(&made, &key);
            let file = "records/00000000000000000300.jsonl";
            assert_eq!(
                found(&report),
                [(Kind::Changed, Some(300), file), (Kind::Tile, None, name)],
                "{:?}",
                report.faults
            );
        }
    }
}

#[test]
fn records_alone_tell_which_tiles_are_wrong() {
    let key = Key::new();
    let made = Made::new(&key, records(700), 100, &[]);
    std::fs::remove_dir_all(made.folder().join("tile")).unwrap();
    let report = report(&made, &key);
    let names: Vec<&str> = report.faults.iter().map(|fault| fault.file.as_str()).collect();
    assert_eq!(
        names,
        ["tile/0/000", "tile/0/001", "tile/0/002.p/188", "tile/1/000.p/2"],
        "{:?}",
        report.faults
    );
    assert!(report.faults.iter().all(|fault| fault.what.contains("missing")));
}

#[test]
fn who_changes_records_and_tiles_together_is_seen_and_older_checkpoints_narrow_it() {
    let key = Key::new();
    let made = Made::new(&key, records(700), 100, &[]);
    let mut others = records(700);
    others[400].push(' ');
    let forged = Made::new(&key, others, 100, &[]);
    for name in files(&made.folder()).iter().filter(|name| *name != "checkpoint") {
        std::fs::copy(forged.folder().join(name), made.folder().join(name)).unwrap();
    }
    let first = report(&made, &key);
    assert!(!first.is_good());
    assert!(first.faults.iter().any(|fault| fault.kind == Kind::Root), "{:?}", first.faults);
    let mut anchors = Anchors::default();
    for size in [100, 390, 410, 690] {
        let path = made.dir.path().join(format!("at-{size}"));
        std::fs::write(&path, made.note(&key, size)).unwrap();
        anchors.read(&path, &key.verifier).unwrap();
    }
    let second = verify(&made.folder(), &key.verifier, &anchors).unwrap();
    assert!(second.remarks.iter().any(|remark| remark.contains("the first 390 records")), "{second:?}");
}

#[test]
fn faults_are_told_up_to_a_bound() {
    let key = Key::new();
    let made = Made::new(&key, records(700), 700, &[]);
    (0..40).for_each(|at| change_record(&made, at * 10, 700));
    let report = report(&made, &key);
    assert_eq!((report.faults.len(), report.has_more), (FAULTS_MAX, true));
    let records: Vec<u64> = report.faults.iter().filter_map(|fault| fault.record).collect();
    assert_eq!(records, (0..20).map(|at| at * 10).collect::<Vec<u64>>());
}

#[test]
fn records_that_are_the_same_are_told_apart_by_their_number() {
    let key = Key::new();
    let made = Made::new(&key, vec!["{}".to_owned(); 300], 100, &[]);
    assert!(report(&made, &key).is_good());
    let path = made.folder().join("records/00000000000000000100.jsonl");
    std::fs::write(&path, "{}\n".repeat(99)).unwrap();
    let fault = &report(&made, &key).faults[0];
    assert_eq!((fault.kind, fault.record), (Kind::Missing, Some(199)));
    std::fs::write(&path, "{}\n".repeat(101)).unwrap();
    assert_eq!(report(&made, &key).faults[0].kind, Kind::Inserted);
}

#[test]
fn a_renamed_file_is_seen() {
    let key = Key::new();
    let made = Made::new(&key, records(300), 100, &[]);
    let name = |first: u64| made.folder().join(format!("records/{first:020}.jsonl"));
    for (from, to) in [(0, 5), (100, 105), (100, 95), (200, 190)] {
        std::fs::rename(name(from), name(to)).unwrap();
        let report = report(&made, &key);
        assert!(!report.is_good());
        assert!(
            report.faults.iter().any(|fault| fault.to_string().contains(&format!("{to:020}.jsonl"))),
            "{:?}",
            report.faults
        );
        std::fs::rename(name(to), name(from)).unwrap();
    }
}
