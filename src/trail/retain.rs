//! Retention: old records go, segment by segment; their hashes stay, so that the trail can still be checked.
//!
//! What was removed is said in a signed note before it is removed. So whoever checks the trail can tell what its owner
//! has let go from what somebody has taken away.

use super::key::SignerKey;
use super::layout::{MINIMUM_INDEX, Segment, segments};
use super::note;
use super::writer::replace;
use crate::delivery::disk::Trouble;
use std::fs;
use std::io::{self, ErrorKind};
use std::num::{NonZeroU32, NonZeroU64};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

const DAY_SECS: u64 = 86_400;

/// Which records may go.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Retention {
    /// Segments that were written last more than so many days ago.
    pub days: Option<NonZeroU32>,
    /// The oldest segments, as long as all together are longer than so many bytes.
    pub max_bytes: Option<NonZeroU64>,
}

struct Found {
    segment: Segment,
    bytes: u64,
    written_secs: u64,
}

/// Removes the segments of the trail at `folder` that `retention` lets go, at `now_ms` milliseconds since 1970. The last
/// one always stays.
///
/// # Errors
///
/// What came in the way; what was not removed is tried again by the next call.
pub fn retain(folder: &Path, retention: &Retention, key: &SignerKey, now_ms: u64) -> Result<(), Trouble> {
    if *retention == Retention::default() {
        return Ok(());
    }
    let trouble = |e: io::Error| Trouble::at(folder, &e);
    let mut found = Vec::new();
    for segment in segments(folder).map_err(trouble)? {
        let about = fs::metadata(&segment.path).map_err(|e| Trouble::at(&segment.path, &e))?;
        let written_secs = u64::try_from(about.mtime()).unwrap_or(0);
        found.push(Found { segment, bytes: about.len(), written_secs });
    }
    let Some(first) = first_kept(&found, retention, now_ms / 1_000) else { return Ok(()) };
    let note = note::sign_minimum_index(first, key);
    let note = note.map_err(|e| Trouble::because(folder, &format!("can't be signed: {e}")))?;
    replace(&folder.join(MINIMUM_INDEX), &note)?;
    for Found { segment, bytes, .. } in found.iter().filter(|one| one.segment.first < first) {
        match fs::remove_file(&segment.path) {
            Err(e) if e.kind() != ErrorKind::NotFound => return Err(Trouble::at(&segment.path, &e)),
            _ => tracing::info!(path = %segment.path.display(), bytes, "removed by retention"),
        }
    }
    Ok(())
}

/// The index of the first record that stays; none where all do.
fn first_kept(found: &[Found], retention: &Retention, now_secs: u64) -> Option<u64> {
    let mut left: u64 = found.iter().map(|one| one.bytes).sum();
    let (_, removable) = found.split_last()?;
    let gone = removable.iter().take_while(|one| {
        let is_old =
            retention.days.is_some_and(|days| one.written_secs + u64::from(days.get()) * DAY_SECS < now_secs);
        let is_too_much = retention.max_bytes.is_some_and(|max| left > max.get());
        left -= one.bytes;
        is_old || is_too_much
    });
    let gone = gone.count();
    found.get(gone).filter(|_| gone > 0).map(|one| one.segment.first)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_go_and_the_last_stays() {
        let found: Vec<Found> = (0..4_u64)
            .map(|at| Found {
                segment: Segment::at(Path::new("t"), at * 10),
                bytes: 100,
                written_secs: at * DAY_SECS,
            })
            .collect();
        let keep = |days: u32, max: u64, now_days: u64| {
            let retention = Retention { days: NonZeroU32::new(days), max_bytes: NonZeroU64::new(max) };
            first_kept(&found, &retention, now_days * DAY_SECS)
        };
        assert_eq!(keep(2, 0, 2), None);
        assert_eq!(keep(2, 0, 3), Some(10));
        assert_eq!(keep(1, 0, 99), Some(30));
        assert_eq!(keep(0, 400, 0), None);
        assert_eq!(keep(0, 399, 0), Some(10));
        assert_eq!(keep(0, 1, 0), Some(30));
        assert_eq!(keep(9, 200, 0), Some(20));
    }
}
