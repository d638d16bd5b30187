//! What keeps a source of files from its work, as `/ready` tells it: a file, a folder, its checkpoints. Each is held for as
//! long as it fails and let go when it works again. A run with `--once` tries nothing again: what it can't read is its
//! failure.

use super::reader::{Reader, Stopped};
use super::watched::Phase;
use super::{Piece, input};
use crate::codec::FaultKind;
use crate::delivery::{Failing, Meter, Trouble, clock};
use std::io;
use std::sync::Arc;
use std::time::Duration;

/// What can't be read is tried again after this long.
const TROUBLE_WAIT: Duration = Duration::from_secs(1);
/// A packed file that ends too early is taken for broken once it has not grown for this long.
pub const UNFINISHED_MAX: Duration = Duration::from_secs(10);

/// What fails of the source as a whole.
#[derive(Debug, Default)]
pub struct Troubles {
    folder: Option<Trouble>,
    /// What was said of folders that can't be looked into.
    pub looking: Failing,
    checkpoints: Option<Trouble>,
}

impl Troubles {
    /// A look into all folders is over; `failed` says what could not be looked into.
    pub fn look(&mut self, meter: &Arc<Meter>, failed: Option<&str>) {
        go_on(&mut self.folder, meter, failed);
    }

    /// Checkpoints were written, or not.
    pub fn save(&mut self, meter: &Arc<Meter>, saved: &io::Result<()>) {
        let failed = saved.as_ref().err().map(|e| format!("can't write checkpoints: {e}"));
        go_on(&mut self.checkpoints, meter, failed.as_deref());
    }
}

/// It has failed, for the first time or again, or it works.
fn go_on(trouble: &mut Option<Trouble>, meter: &Arc<Meter>, failed: Option<&str>) {
    match (failed, &*trouble) {
        (Some(why), Some(trouble)) => trouble.go_on(why),
        (Some(why), None) => *trouble = Some(meter.trouble(why)),
        (None, _) => *trouble = None,
    }
}

impl Reader {
    /// A turn has met with something that is wrong; says whether the file has been read to its end.
    pub(super) fn trouble(&mut self, key: u64, trouble: input::Trouble) -> Result<bool, Stopped> {
        let now = clock::monotonic();
        let Some(file) = self.files.get_mut(&key) else { return Ok(true) };
        let path = file.path.display();
        let detail = match trouble {
            input::Trouble::Io(e) => {
                let what = format!("can't read {path}: {e}");
                self.cant_read(key, what);
                return Ok(self.once);
            }
            input::Trouble::Unfinished if !self.once && file.news + UNFINISHED_MAX > now => {
                if let Some(input) = &mut file.input {
                    input.reopen();
                }
                file.due = Some(now + TROUBLE_WAIT);
                return Ok(false);
            }
            input::Trouble::Unfinished => "the compressed data end too early".to_owned(),
            input::Trouble::Broken(why) => format!("it can't be unpacked: {why}"),
        };
        let detail = format!("{path}: {detail}");
        let offset = file.tail.parked.read_from();
        self.tell_of(key)?;
        self.send(Piece::Fault { key, kind: FaultKind::BrokenCompression, detail, offset })?;
        self.finish(key)?;
        Ok(true)
    }

    /// A file can't be read: the source can't do its work until it can.
    pub(super) fn cant_read(&mut self, key: u64, what: String) {
        if let Some(file) = self.files.get_mut(&key).filter(|_| !self.once) {
            go_on(&mut file.failing, &self.meter, Some(&what));
        }
        self.try_later(key, what);
    }

    /// Says what fails, once for each reason, and tries again later; a run with `--once` has no later.
    pub(super) fn try_later(&mut self, key: u64, what: String) {
        let Some(file) = self.files.get_mut(&key) else { return };
        file.due = Some(clock::monotonic() + TROUBLE_WAIT);
        if self.once {
            (file.phase, file.due) = (Phase::Done, None);
            self.failures.push(what);
        } else if file.trouble != what {
            tracing::warn!(source = self.id, "{what}; it is tried again");
            file.trouble = what;
        }
    }
}
