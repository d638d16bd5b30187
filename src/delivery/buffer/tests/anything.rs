//! Whatever somebody does to the files, and to how many of them: a repair ends well and keeps what was not touched.

use super::damage::Site;
use super::*;

/// What is done to a file.
#[derive(Clone, Debug)]
enum Deed {
    Empty,
    Remove,
    Cut(usize),
    Zero(usize),
    Flip(usize, u8),
    Append(Vec<u8>),
    /// Over another file, of this number.
    Copy(usize),
    Swap(usize),
    Folder,
}

fn deed() -> impl Strategy<Value = Deed> {
    prop_oneof![
        3 => Just(Deed::Empty),
        2 => Just(Deed::Remove),
        3 => any::<usize>().prop_map(Deed::Cut),
        1 => any::<usize>().prop_map(Deed::Zero),
        3 => (any::<usize>(), 1u8..).prop_map(|(at, mask)| Deed::Flip(at, mask)),
        1 => proptest::collection::vec(any::<u8>(), 1..100).prop_map(Deed::Append),
        1 => any::<usize>().prop_map(Deed::Copy),
        1 => any::<usize>().prop_map(Deed::Swap),
        1 => Just(Deed::Folder),
    ]
}

fn change(path: &Path, change: impl FnOnce(&mut Vec<u8>)) {
    let Ok(mut bytes) = fs::read(path) else { return };
    change(&mut bytes);
    fs::write(path, bytes).unwrap();
}

fn done(deed: &Deed, path: &Path, paths: &[PathBuf]) {
    if !path.is_file() {
        return;
    }
    match deed {
        Deed::Empty => change(path, Vec::clear),
        Deed::Remove => fs::remove_file(path).unwrap(),
        Deed::Cut(at) => change(path, |bytes| bytes.truncate(at % (bytes.len() + 1))),
        Deed::Zero(at) => change(path, |bytes| {
            let at = at % (bytes.len() + 1);
            bytes[at..].fill(0);
        }),
        Deed::Flip(at, mask) => change(path, |bytes| {
            let at = at % bytes.len().max(1);
            bytes.get_mut(at).into_iter().for_each(|byte| *byte ^= mask);
        }),
        Deed::Append(more) => change(path, |bytes| bytes.extend_from_slice(more)),
        Deed::Copy(other) | Deed::Swap(other) => {
            let other = &paths[other % paths.len()];
            let (own, others) = (fs::read(path).unwrap(), fs::read(other));
            let Ok(others) = others else { return };
            fs::write(other, own).unwrap();
            if matches!(deed, Deed::Swap(_)) {
                fs::write(path, others).unwrap();
            }
        }
        Deed::Folder => {
            fs::remove_file(path).unwrap();
            fs::create_dir(path).unwrap();
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn a_repair_ends_well(
        delivered in 0usize..10,
        deeds in proptest::collection::vec((any::<usize>(), deed()), 0..7),
        to_cursor in proptest::option::weighted(0.4, deed()),
        is_first_gone in proptest::bool::weighted(0.2),
    ) {
        let site = Site::new(delivered);
        let folder = site.dir.path();
        let paths: Vec<PathBuf> = site.segments.iter().map(|(path, _)| path.clone()).collect();
        if is_first_gone {
            fs::remove_file(&paths[0]).unwrap();
        }
        for (at, deed) in &deeds {
            done(deed, &paths[at % paths.len()], &paths);
        }
        let cursor = [folder.join(cursor::FILE)];
        if let Some(deed) = &to_cursor {
            done(deed, &cursor[0], &cursor);
        }
        let found = Found::read(folder).unwrap();
        let left: Vec<Vec<u8>> = paths.iter().filter_map(|path| fs::read(path).ok()).collect();
        let is_there = |segment: usize, range: &std::ops::Range<usize>| {
            let record = &site.segments[segment].1[range.clone()];
            left.iter().any(|bytes| memchr::memmem::find(bytes, record).is_some())
        };
        let from = found.marks().map_or(0, |marks| marks.delivered);
        let mut kept = Vec::new();
        for (segment, range, numbers) in &site.records {
            let sequence = frame::RecordHeader::read(&site.segments[*segment].1[range.start..]).unwrap().sequence;
            if is_there(*segment, range) && sequence >= from {
                kept.extend_from_slice(numbers);
            }
        }
        match folder::refuse_other(folder) {
            Ok(()) => drop(repair(folder).unwrap()),
            // Nothing of it is left.
            Err(_) => prop_assert!(left.is_empty() && found == Found::Nothing),
        }
        let mut life = Life::start(folder, 256 * 1024).unwrap();
        prop_assert_eq!(life.read_all(), kept.clone());
        prop_assert!(life.append(&[event(1_000, 5)]));
        kept.push(1_000);
        prop_assert_eq!(life.read_all(), [1_000]);
        drop(life);
        prop_assert_eq!(Life::start(folder, 256 * 1024).unwrap().read_all(), kept);
        let done = repair(folder).unwrap();
        prop_assert!(done.flaws.is_empty() && done.aside.is_empty());
    }
}
