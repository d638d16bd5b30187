//! How far a run with `--once` over files is, as a bar on a terminal.
//!
//! It looks at the counters of the sources a few times a second and draws what they say on standard error; the log takes
//! it away for each of its lines. Where nobody would see it, or where events go to the same terminal, there is none, and
//! nothing is looked at. Of packed files it knows the bytes on the disk.

use super::args::{LogFormat, RunArgs};
use super::log::share_screen;
use crate::topology::{Plan, Status};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::convert::Infallible;
use std::io::{self, IsTerminal};
use std::time::Duration;

/// How often the counters are looked at.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// How often it is drawn at most, in a second.
const DRAWS_PER_SECOND: u8 = 5;
/// What is drawn. It names no colour: whoever can see none misses nothing.
const LOOKS: &str = "{percent:>3}% [{wide_bar}] {bytes} of {total_bytes}, {bytes_per_sec}, {eta} left";

/// A bar that is gone when this is.
struct Shown(ProgressBar);

impl Drop for Shown {
    fn drop(&mut self) {
        share_screen(None);
        self.0.finish_and_clear();
    }
}

/// Shows how far the run is until it is dropped, where there is something to be seen. It never comes back.
pub async fn show(plan: &Plan, status: &Status, args: &RunArgs) -> Infallible {
    let is_wanted = args.once && !args.log.quiet && args.log.log_format == LogFormat::Text;
    let reads_files = plan.sources.iter().any(|node| node.kind == "file");
    let is_alone = !plan.sinks.iter().any(|node| node.config.shows());
    if is_wanted && reads_files && is_alone && io::stderr().is_terminal() {
        let look = || {
            let components = status.components();
            let files = components.iter().map(|one| one.files());
            files.fold((0, 0), |(total, left), (bytes, more)| (total + bytes, left + more))
        };
        draw(look).await;
    }
    std::future::pending().await
}

/// Draws what `look` says: how many bytes there are, and how many of them are left.
async fn draw(look: impl Fn() -> (u64, u64)) {
    let mut shown: Option<Shown> = None;
    loop {
        let (total, left) = look();
        if total > 0 {
            let bar = &shown.get_or_insert_with(begin).0;
            bar.set_length(total);
            bar.set_position(total.saturating_sub(left));
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

fn begin() -> Shown {
    let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr_with_hz(DRAWS_PER_SECOND));
    if let Ok(style) = ProgressStyle::with_template(LOOKS) {
        bar.set_style(style.progress_chars("=> "));
    }
    share_screen(Some(bar.clone()));
    Shown(bar)
}
