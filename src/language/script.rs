//! A program by itself: run over one event after the other, with its results as lines.

use super::{Failure, Program};
use crate::event::{Event, Made, Notes, Tree, write_value};

/// What is shown of each event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Show {
    /// The event as the program has left it, or the events.
    Event,
    /// The value of the program's last expression.
    Value,
}

/// What became of one event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ran {
    /// The program has come to its end.
    Done,
    /// It has made no event of this one: `. = []`.
    Nothing,
    /// It has failed or said `abort`. An event on which it fails is shown as it came.
    Failed(Failure),
}

/// Runs `program` on `event` and appends what there is to show, a line each.
pub fn run_shown(program: &mut Program, mut event: Event, show: Show, out: &mut Vec<u8>) -> Ran {
    let mut notes = Notes::default();
    let ran = program.run(&mut Tree::new(&event, &mut notes));
    let value = match ran {
        Ok(value) => value,
        Err(failure) => {
            if show == Show::Event && !failure.is_abort {
                line(&event, out);
            }
            return Ran::Failed(failure);
        }
    };
    if show == Show::Value {
        write_value(&value, out);
        out.push(b'\n');
        return Ran::Done;
    }
    match event.change(&mut notes) {
        Made::Itself => line(&event, out),
        Made::More(others) => [&event].into_iter().chain(&others).for_each(|event| line(event, out)),
        Made::Nothing => return Ran::Nothing,
        Made::TooLarge => {
            line(&event, out);
            let message =
                "the program has written more than an event can hold: too much, or too deep".to_owned();
            return Ran::Failed(Failure { is_abort: false, message });
        }
    }
    Ran::Done
}

fn line(event: &Event, out: &mut Vec<u8>) {
    event.write_json(out);
    out.push(b'\n');
}

/// `message`, with the bytes that VRL names (` at (5:16)`) as a line and a column of `source`.
pub fn placed(message: &str, source: &str) -> String {
    let place = |inside: &str| {
        let (start, end) = inside.split_once(':')?;
        end.parse::<usize>().ok()?;
        let before = source.get(..start.parse().ok()?)?;
        let line = 1 + before.matches('\n').count();
        let column = 1 + before.rsplit('\n').next().unwrap_or_default().chars().count();
        Some(format!(" at {line}:{column}"))
    };
    let parts = message.split_once(" at (").and_then(|(front, rest)| Some((front, rest.split_once(')')?)));
    let placed =
        parts.and_then(|(front, (inside, behind))| Some(format!("{front}{}{behind}", place(inside)?)));
    placed.unwrap_or_else(|| message.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_become_lines() {
        let source = ".é = 1\n.n = to_int!(.a)";
        assert_eq!(placed("call for \"to_int\" at (13:24): no", source), "call for \"to_int\" at 2:6: no");
        for message in ["no place", "at (x)", " at (1:2", " at (99:100): no", " at (look:here)"] {
            assert_eq!(placed(message, source), message);
        }
    }
}
