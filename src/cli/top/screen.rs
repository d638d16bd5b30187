//! The terminal that the table is drawn on: a screen of its own, which is left as it was found.
//!
//! A frame is one write that begins at the upper left corner and clears what is left of each line, so nothing flickers.
//! Keys come one by one and unseen; Ctrl-C stays the signal that it is.

use super::table::{Kind, Line, fitting};
use console::Term;
use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};
use std::fmt::Write;
use std::io::{self, IsTerminal, Read};
use tokio::sync::mpsc;

const OPEN: &str = "\x1b[?1049h\x1b[?25l";
const CLOSE: &str = "\x1b[?25h\x1b[?1049l";
const HOME: &str = "\x1b[H";
const REST_OF_LINE: &str = "\x1b[K";
const REST_OF_SCREEN: &str = "\x1b[J";
const BOLD: &str = "\x1b[1m";
const RED: &str = "\x1b[31m";
const RESET: &str = "\x1b[0m";

/// A terminal that belongs to us. Dropped, it is as before.
pub struct Screen {
    term: Term,
    /// How keys were read before, where they come from a terminal.
    before: Option<Termios>,
    coloured: bool,
}

impl Screen {
    /// Whether standard output is a terminal that can be drawn on.
    pub fn is_there() -> bool {
        io::stdout().is_terminal() && !console::is_dumb()
    }

    /// Takes the terminal over. Keys come out of the channel where there is a keyboard.
    pub fn open() -> io::Result<(Screen, mpsc::Receiver<u8>)> {
        let coloured = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        let mut screen = Screen { term: Term::stdout(), before: None, coloured };
        let (sender, keys) = mpsc::channel(1);
        if io::stdin().is_terminal() {
            let before = tcgetattr(io::stdin())?;
            let mut one_by_one = before.clone();
            one_by_one.local_modes -= LocalModes::ICANON | LocalModes::ECHO;
            tcsetattr(io::stdin(), OptionalActions::Now, &one_by_one)?;
            screen.before = Some(before);
            std::thread::spawn(move || read_keys(&sender));
        }
        screen.term.write_str(OPEN)?;
        Ok((screen, keys))
    }

    /// Draws as many of `lines` as fit.
    pub fn draw(&self, lines: Vec<Line>) -> io::Result<()> {
        let (height, width) = self.term.size();
        let mut frame = HOME.to_owned();
        for (at, line) in fitting(lines, height.into(), width.into()).iter().enumerate() {
            // A newline behind the last line would move all of them up.
            frame.push_str(if at > 0 { "\r\n" } else { "" });
            let style = match line.kind {
                Kind::Plain => "",
                Kind::Head => BOLD,
                Kind::Bad if self.coloured => RED,
                Kind::Bad => BOLD,
            };
            // Writing to a String can't fail.
            write!(frame, "{style}{}{RESET}{REST_OF_LINE}", line.text).unwrap_or_default();
        }
        frame.push_str(REST_OF_SCREEN);
        self.term.write_str(&frame)
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        // A terminal that is gone needs nothing.
        self.term.write_str(CLOSE).unwrap_or_default();
        if let Some(before) = &self.before {
            tcsetattr(io::stdin(), OptionalActions::Now, before).unwrap_or_default();
        }
    }
}

/// Reads until nobody wants to know more, or there is nothing more to read.
fn read_keys(keys: &mpsc::Sender<u8>) {
    let mut stdin = io::stdin().lock();
    let mut key = [0];
    while let Ok(1) = stdin.read(&mut key) {
        let [key] = key;
        if keys.blocking_send(key).is_err() {
            return;
        }
    }
}
