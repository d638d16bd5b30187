//! What is in a buffer, for people.

use super::cursor::Found;
use super::folder;
use super::survey::Survey;
use crate::delivery::counted;
use std::fmt::Write;
use std::path::Path;

/// Describes the buffer in `folder`; the flag says whether anything is damaged.
pub fn show(folder: &Path) -> Result<(String, bool), String> {
    folder::refuse_other(folder)?;
    let survey =
        Survey::of(folder).map_err(|e| format!("can't read the buffer in {}: {e}", folder.display()))?;
    let mut text = String::new();
    describe(&survey, &mut text).unwrap_or_default();
    if folder::is_locked(folder) {
        text.push_str("in use: an evaltrail is writing to it, and what is said here may have changed\n");
    }
    Ok((text, !survey.flaws.is_empty()))
}

fn sized(records: u64, events: u64, bytes: u64) -> String {
    [(records, "record"), (events, "event"), (bytes, "byte")]
        .map(|(count, noun)| counted(count, noun))
        .join(", ")
}

fn describe(survey: &Survey, text: &mut String) -> std::fmt::Result {
    for segment in &survey.segments {
        let name = folder::segment_name(segment.number);
        let (records, events, bytes) = (segment.records, segment.events, segment.bytes);
        writeln!(text, "segment {name}: {}", sized(records, events, bytes))?;
    }
    let (records, events) = survey.totals();
    let bytes: u64 = survey.segments.iter().map(|segment| segment.bytes).sum();
    let segments = survey.segments.len() as u64;
    writeln!(text, "total: {}, {}", counted(segments, "segment"), sized(records, events, bytes))?;
    match survey.cursor {
        Found::Nothing => writeln!(text, "cursor: none yet, everything is to be delivered")?,
        Found::Damaged => writeln!(text, "cursor: damaged")?,
        Found::Marks(marks, _) => writeln!(
            text,
            "cursor: delivered up to record {}, written up to record {}",
            marks.delivered.saturating_sub(1),
            survey.next.saturating_sub(1)
        )?,
    }
    let (records, events) =
        (counted(survey.undelivered, "record"), counted(survey.undelivered_events, "event"));
    writeln!(text, "to deliver: {records}, {events}")?;
    if let Some((path, at)) = &survey.torn {
        let (name, from) = (path.display(), at.start);
        let bytes = at.end - at.start;
        let what = match survey.is_torn_behind_delivery() {
            true => "can't be read; all that stood there was delivered",
            false => "that a crash has left; nothing of them was acknowledged",
        };
        writeln!(text, "torn: {name}, offset {from}: {bytes} bytes {what}")?;
    }
    for flaw in &survey.flaws {
        writeln!(text, "damaged: {flaw}")?;
    }
    if !survey.flaws.is_empty() {
        let folder = folder::quoted(&survey.folder);
        writeln!(text, "`evaltrail buffer repair {folder}` keeps all that can be read")?;
    }
    Ok(())
}
