//! Whatever happens to the files is noticed or harmless, and a repair keeps exactly what was not touched.

use super::super::frame::{Piece, SEGMENT_HEADER_BYTES, pieces};
use super::*;
use std::ops::Range;

/// Segments as a run has left them: with the events that stand in them.
pub struct Site {
    pub dir: TempDir,
    /// Each record: its segment, its place there, its events.
    pub records: Vec<(usize, Range<usize>, Vec<u64>)>,
    pub segments: Vec<(PathBuf, Vec<u8>)>,
}

impl Site {
    /// Some segments of some records; of the first events so many are delivered.
    pub fn new(delivered: usize) -> Site {
        let dir = TempDir::new();
        let mut life = Life::start(dir.path(), 64 * 1024).unwrap();
        let mut next = 0;
        while next < 150 {
            let events: Vec<Event> = (next..next + 1 + next % 4).map(|n| event(n, 120)).collect();
            next += events.len() as u64;
            assert!(life.stage(&events));
        }
        life.log.commit().unwrap();
        let shared = Arc::clone(&life.shared);
        if delivered > 0 {
            shared.send(delivered as u64 + 1, 0)(Verdict::Delivered);
        }
        shared.settle();
        drop(life);
        let mut site = Site { dir, records: Vec::new(), segments: Vec::new() };
        for (at, (_, path)) in folder::segments(site.dir.path()).unwrap().into_iter().enumerate() {
            let bytes = fs::read(&path).unwrap();
            for piece in pieces(&bytes, SEGMENT_HEADER_BYTES) {
                let Piece::Record { at: range, events, .. } = piece else { panic!("{piece:?}") };
                let payload = bytes[range.start + frame::RECORD_HEADER_BYTES..range.end].to_vec();
                let events = content::decode(payload.into(), events).unwrap();
                site.records.push((at, range, events.iter().map(number).collect()));
            }
            site.segments.push((path, bytes));
        }
        assert!(site.segments.len() >= 3, "{}", site.segments.len());
        site
    }

    /// The events of the records for which `keep` holds.
    fn events(&self, keep: impl Fn(usize, &Range<usize>) -> bool) -> Vec<u64> {
        let kept = self.records.iter().filter(|(segment, range, _)| keep(*segment, range));
        kept.flat_map(|(_, _, events)| events.clone()).collect()
    }

    fn all(&self) -> Vec<u64> {
        self.events(|_, _| true)
    }

    /// What is read after a start; none where it is refused.
    fn read(&self) -> Option<Vec<u64>> {
        Life::start(self.dir.path(), 64 * 1024).ok().map(|mut life| life.read_all())
    }

    /// Repairs, and starts again.
    #[track_caller]
    fn repaired(&self) -> Vec<u64> {
        let done = repair(self.dir.path()).unwrap();
        assert!(!done.flaws.is_empty());
        assert!(!show(self.dir.path()).unwrap().1, "{}", show(self.dir.path()).unwrap().0);
        let mut life = Life::start(self.dir.path(), 64 * 1024).unwrap();
        let events = life.read_all();
        assert_eq!(done.undelivered_events, events.len() as u64);
        // And it can be written to.
        assert!(life.append(&[event(1_000, 5)]));
        assert_eq!(life.read_all(), [1_000]);
        events
    }

    fn write(&self, segment: usize, bytes: &[u8]) {
        fs::write(&self.segments[segment].0, bytes).unwrap();
    }
}

/// A segment and an offset in it, of all there are.
fn spot(site: &Site, at: usize) -> (usize, usize) {
    let total: usize = site.segments.iter().map(|(_, bytes)| bytes.len()).sum();
    let mut at = at % total;
    for (segment, (_, bytes)) in site.segments.iter().enumerate() {
        if at < bytes.len() {
            return (segment, at);
        }
        at -= bytes.len();
    }
    unreachable!()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn flipped_bytes_are_noticed_and_cost_their_records(flips in proptest::collection::vec((any::<usize>(), 1u8..), 1..4)) {
        let site = Site::new(0);
        let mut changed: Vec<Vec<u8>> = site.segments.iter().map(|(_, bytes)| bytes.clone()).collect();
        for (at, mask) in &flips {
            let (segment, at) = spot(&site, *at);
            changed[segment][at] ^= mask;
        }
        prop_assume!(changed.iter().zip(&site.segments).any(|(now, (_, before))| now != before));
        changed.iter().enumerate().for_each(|(segment, bytes)| site.write(segment, bytes));
        prop_assert_eq!(site.read(), None);
        let whole = site.events(|segment, range| changed[segment][range.clone()] == site.segments[segment].1[range.clone()]);
        prop_assert_eq!(site.repaired(), whole);
    }

    #[test]
    fn what_is_cut_off_is_noticed(at in any::<usize>()) {
        let site = Site::new(0);
        let (segment, at) = spot(&site, at);
        site.write(segment, &site.segments[segment].1[..at]);
        prop_assert_eq!(site.read(), None);
        let whole = site.events(|other, range| other != segment || range.end <= at);
        prop_assert_eq!(site.repaired(), whole);
    }

    #[test]
    fn garbage_is_noticed_or_a_torn_end(segment in any::<usize>(), garbage in proptest::collection::vec(any::<u8>(), 1..100)) {
        let site = Site::new(0);
        let segment = segment % site.segments.len();
        let mut bytes = site.segments[segment].1.clone();
        bytes.extend_from_slice(&garbage);
        site.write(segment, &bytes);
        match site.read() {
            Some(events) => {
                prop_assert_eq!(segment, site.segments.len() - 1);
                prop_assert_eq!(events, site.all());
            }
            None => prop_assert_eq!(site.repaired(), site.all()),
        }
    }

    #[test]
    fn overwritten_stretches_are_noticed(at in any::<usize>(), garbage in proptest::collection::vec(any::<u8>(), 1..3_000)) {
        let site = Site::new(0);
        let (segment, at) = spot(&site, at);
        let mut bytes = site.segments[segment].1.clone();
        let end = (at + garbage.len()).min(bytes.len());
        bytes[at..end].copy_from_slice(&garbage[..end - at]);
        prop_assume!(bytes != site.segments[segment].1);
        site.write(segment, &bytes);
        prop_assert_eq!(site.read(), None);
        let before = &site.segments[segment].1;
        let whole = site.events(|other, range| other != segment || bytes[range.clone()] == before[range.clone()]);
        prop_assert_eq!(site.repaired(), whole);
    }

    #[test]
    fn what_a_crash_tears_is_cut_off(len in 1usize..2_000, zeros in 0usize..100) {
        // A record that was being written: nobody knew of it.
        let site = Site::new(0);
        let mut record = Vec::new();
        let last = site.records.len() as u64;
        frame::RecordHeader::write(last + 1, 1, &[b'x'; 2_000], &mut record);
        record.truncate(len);
        if zeros > 0 {
            record = vec![0; zeros];
        }
        let (path, bytes) = site.segments.last().unwrap();
        fs::write(path, [bytes.as_slice(), &record].concat()).unwrap();
        prop_assert_eq!(site.read(), Some(site.all()));
        prop_assert_eq!(&fs::read(path).unwrap(), bytes);
    }
}

#[test]
fn a_segment_that_a_crash_has_not_finished_is_made_again() {
    for torn in [
        vec![],
        vec![0; 32],
        vec![0x89, b'e'],
        frame::SegmentHeader { first: 9, follows: 9 }.to_bytes()[..31].to_vec(),
    ] {
        let site = Site::new(0);
        let next = site.records.len() as u64 + 1;
        fs::write(site.dir.path().join(folder::segment_name(next)), &torn).unwrap();
        let mut life = Life::start(site.dir.path(), 64 * 1024).unwrap();
        assert_eq!(life.read_all(), site.all());
        assert!(life.append(&[event(1_000, 9_000)]));
        assert_eq!(life.read_all(), [1_000]);
    }
}

#[test]
fn an_end_that_was_acknowledged_is_no_torn_one() {
    for cut in [1, 100, usize::MAX] {
        let site = Site::new(0);
        let last = site.segments.len() - 1;
        let (path, bytes) = &site.segments[last];
        let len = bytes.len().saturating_sub(cut);
        site.write(last, &bytes[..len]);
        let survey = Survey::of(site.dir.path()).unwrap();
        assert!(
            survey.torn.is_none() && survey.refusal().is_some_and(|words| words.contains("the file ends in"))
        );
        let done = repair(site.dir.path()).unwrap();
        assert_eq!(done.aside.len(), 1, "{done}");
        assert_eq!(fs::read(&done.aside[0]).unwrap(), bytes[..len]);
        let (shown, is_damaged) = show(site.dir.path()).unwrap();
        assert!(!is_damaged && !shown.contains("torn"), "{shown}");
        assert_eq!(site.read().unwrap(), site.events(|segment, range| segment != last || range.end <= len));
        assert!(len == 0 || path.exists());
    }
}

#[test]
fn a_torn_end_that_was_delivered_costs_nothing() {
    let site = Site::new(0);
    let mut life = Life::start(site.dir.path(), 64 * 1024).unwrap();
    while let Some(batch) = life.read() {
        batch.resolve(Verdict::Delivered);
        life.shared.settle();
    }
    drop(life);
    let (path, bytes) = site.segments.last().unwrap();
    fs::write(path, &bytes[..bytes.len() - 1]).unwrap();
    let (shown, is_damaged) = show(site.dir.path()).unwrap();
    assert!(!is_damaged && shown.contains("all that stood there was delivered"), "{shown}");
    let mut life = Life::start(site.dir.path(), 64 * 1024).unwrap();
    assert!(life.append(&[event(1_000, 5)]));
    assert_eq!(life.read_all(), [1_000]);
}

#[test]
fn segments_that_are_missing_are_noticed() {
    for missing in 0..3 {
        let site = Site::new(1);
        fs::remove_file(&site.segments[missing % site.segments.len()].0).unwrap();
        assert_eq!(site.read(), None, "{missing}");
        let there = site.events(|segment, _| segment != missing);
        let first = &site.records[0].2;
        let there: Vec<u64> = there.into_iter().filter(|number| !first.contains(number)).collect();
        assert_eq!(site.repaired(), there);
    }
    let site = Site::new(0);
    let last = site.segments.len() - 1;
    fs::remove_file(&site.segments[last].0).unwrap();
    assert_eq!(site.read(), None);
    assert_eq!(site.repaired(), site.events(|segment, _| segment != last));
}

#[test]
fn segments_in_each_other_s_place_are_noticed_and_put_right() {
    let site = Site::new(0);
    site.write(0, &site.segments[1].1);
    site.write(1, &site.segments[0].1);
    assert_eq!(site.read(), None);
    assert_eq!(site.repaired(), site.all());
}

#[test]
fn a_segment_that_is_there_twice_is_noticed_and_read_once() {
    let site = Site::new(0);
    fs::write(site.dir.path().join(folder::segment_name(2)), &site.segments[0].1).unwrap();
    assert_eq!(site.read(), None);
    assert_eq!(site.repaired(), site.all());
    let site = Site::new(0);
    site.write(2, &site.segments[0].1);
    assert_eq!(site.read(), None);
    assert_eq!(site.repaired(), site.events(|segment, _| segment != 2));
}

#[test]
fn another_version_is_refused_by_name() {
    let site = Site::new(0);
    let mut bytes = site.segments[0].1.clone();
    bytes[8] = 9;
    let crc = crc32fast::hash(&bytes[..28]);
    bytes[28..32].copy_from_slice(&crc.to_le_bytes());
    site.write(0, &bytes);
    let refusal = Survey::of(site.dir.path()).unwrap().refusal().unwrap();
    assert!(refusal.contains("written in version 9") && refusal.contains("knows version 1"), "{refusal}");
}

#[test]
fn a_damaged_cursor_is_put_aside_and_everything_comes_again() {
    let site = Site::new(5);
    let path = site.dir.path().join(cursor::FILE);
    assert_eq!(site.read().map(|events| events[0]), Some(site.records[5].2[0]));
    fs::write(&path, [7; 1_000]).unwrap();
    assert_eq!(site.read(), None);
    let done = repair(site.dir.path()).unwrap();
    assert!(done.repeats && done.to_string().contains("delivered again"), "{done}");
    assert_eq!(site.read(), Some(site.all()));
    fs::remove_file(&path).unwrap();
    assert_eq!(site.read(), Some(site.all()), "a lost one costs repeats");
}

#[test]
fn a_repair_that_was_interrupted_is_taken_up_again() {
    let site = Site::new(0);
    let mut bytes = site.segments[1].1.clone();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    site.write(1, &bytes);
    let whole = site.events(|segment, range| segment != 1 || !range.contains(&middle));
    // The steps of a repair, each as far as it gets: the new segments, the old files renamed, and not moved.
    let other = TempDir::new();
    for (path, _) in &site.segments {
        fs::copy(path, other.path().join(path.file_name().unwrap())).unwrap();
    }
    fs::copy(site.dir.path().join(cursor::FILE), other.path().join(cursor::FILE)).unwrap();
    for state in 0..3 {
        let survey = Survey::of(site.dir.path()).unwrap();
        repair::prepare(&survey).unwrap();
        let (ready, moving) = (site.dir.path().join("repair.ready"), site.dir.path().join("repair.move"));
        if state > 0 {
            let list = fs::read_to_string(ready.join("aside")).unwrap();
            let (from, to) = list.trim_end().split_once('\t').unwrap();
            fs::rename(site.dir.path().join(from), site.dir.path().join(to)).unwrap();
        }
        if state > 1 {
            fs::rename(&ready, &moving).unwrap();
            let (_, path) = folder::segments(&moving).unwrap().remove(0);
            fs::rename(&path, site.dir.path().join(path.file_name().unwrap())).unwrap();
        }
        assert_eq!(site.read(), None, "{state}");
        repair(site.dir.path()).unwrap();
        assert_eq!(site.read(), Some(whole.clone()), "{state}");
        assert!(!ready.exists() && !moving.exists());
        let aside: Vec<_> =
            fs::read_dir(site.dir.path()).unwrap().map(|entry| entry.unwrap().path()).collect();
        let aside = aside.iter().find(|path| path.to_str().unwrap().contains(".damaged-")).unwrap();
        assert_eq!(fs::read(aside).unwrap(), bytes, "nothing is destroyed");
        for entry in fs::read_dir(site.dir.path()).unwrap() {
            fs::remove_file(entry.unwrap().path()).unwrap();
        }
        for entry in fs::read_dir(other.path()).unwrap() {
            let entry = entry.unwrap();
            fs::copy(entry.path(), site.dir.path().join(entry.file_name())).unwrap();
        }
    }
}

#[test]
fn a_repair_waits_for_nobody_and_disturbs_nobody() {
    let site = Site::new(0);
    let lock = folder::lock(site.dir.path()).unwrap();
    let refusal = repair(site.dir.path()).unwrap_err();
    assert!(refusal.contains("stop it first"), "{refusal}");
    assert!(show(site.dir.path()).unwrap().0.contains("in use"));
    drop(lock);
    assert!(repair(site.dir.path()).unwrap().to_string().contains("nothing is damaged"));
}

#[test]
fn damage_under_a_running_reader_is_its_failure() {
    let site = Site::new(0);
    let mut life = Life::start(site.dir.path(), 64 * 1024).unwrap();
    let mut bytes = site.segments[1].1.clone();
    bytes[SEGMENT_HEADER_BYTES + 40] ^= 1;
    site.write(1, &bytes);
    let mut events = Vec::new();
    let failure = loop {
        match life.reader.take() {
            Ok(batch) => events.extend(batch.unwrap().events.iter().map(number)),
            Err(failure) => break failure,
        }
    };
    assert_eq!(events, site.events(|segment, _| segment == 0));
    let name =
        folder::segment_name(site.records.iter().position(|(segment, ..)| *segment == 1).unwrap() as u64 + 1);
    assert!(failure.contains(&format!("{name}, offset {SEGMENT_HEADER_BYTES}: ")), "{failure}");
    assert!(failure.contains("evaltrail buffer repair"), "{failure}");
}
