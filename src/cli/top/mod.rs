//! `evaltrail top`: how a running pipeline goes, over and over.

mod openmetrics;
mod screen;
mod sight;
mod table;

use super::args::TopArgs;
use super::client;
use super::{EXIT_FAILED, complain, print};
use screen::Screen;
use sight::Sight;
use std::io;
use std::process::ExitCode;
use std::time::Duration;
use table::lines;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::sleep;

/// Draws the table until somebody has seen enough; prints it once where it can't be drawn.
pub fn run(args: &TopArgs) -> ExitCode {
    let address = match client::address(&args.api) {
        Ok(address) => address,
        Err(code) => return code,
    };
    let runtime = match client::runtime() {
        Ok(runtime) => runtime,
        Err(code) => return code,
    };
    runtime.block_on(async {
        // Who has given a wrong address wants to know at once.
        let first = match Sight::of(&address).await {
            Ok(first) => first,
            Err(why) => return failed(&client::absent(&address, &why)),
        };
        match args.once || !Screen::is_there() {
            true => print_once(&address, first, args.interval).await,
            false => match watch(&address, first, args.interval).await {
                Ok(()) => ExitCode::SUCCESS,
                Err(e) => failed(&format!("evaltrail: can't draw on the terminal: {e}\n")),
            },
        }
    })
}

fn failed(why: &str) -> ExitCode {
    complain(why);
    EXIT_FAILED.into()
}

/// Rates take two looks.
async fn print_once(address: &str, first: Sight, interval: Duration) -> ExitCode {
    sleep(interval).await;
    match Sight::of(address).await {
        Ok(now) => {
            let lines = lines(address, Some(&first), &now, None);
            let text: String = lines.iter().map(|line| format!("{}\n", line.text)).collect();
            print(&text)
        }
        Err(why) => failed(&client::absent(address, &why)),
    }
}

async fn watch(address: &str, first: Sight, interval: Duration) -> io::Result<()> {
    let (screen, mut keys) = Screen::open()?;
    let mut resized = signal(SignalKind::window_change())?;
    let ended = client::interrupted();
    tokio::pin!(ended);
    let (mut before, mut now, mut lost) = (None, first, None);
    loop {
        screen.draw(lines(address, before.as_ref(), &now, lost.as_deref()))?;
        let look = async {
            sleep(interval).await;
            Sight::of(address).await
        };
        tokio::pin!(look);
        loop {
            tokio::select! {
                seen = &mut look => {
                    match seen {
                        Ok(seen) => (before, lost) = (Some(std::mem::replace(&mut now, seen)), None),
                        Err(why) => lost = Some(why),
                    }
                    break;
                }
                // Without a keyboard, a signal ends it.
                Some(key) = keys.recv() => if matches!(key, b'q' | b'Q') { return Ok(()) },
                _ = resized.recv() => {
                    screen.draw(lines(address, before.as_ref(), &now, lost.as_deref()))?;
                }
                done = &mut ended => return done,
            }
        }
    }
}
