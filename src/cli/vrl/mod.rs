//! `evaltrail vrl`.

mod args;
mod history;
mod input;
mod prompt;

pub use args::VrlArgs;

use super::render::render_program;
use super::{EXIT_FAILED, EXIT_REFUSED, complain};
use crate::config::{Diagnostic, Severity, Source};
use crate::event::{Event, Invalid, Origin, Stream};
use crate::language::{Program, Ran, Show, placed, run_shown, timezone};
use input::{Input, Item};
use std::io::{self, BufWriter, ErrorKind, IsTerminal, Write};
use std::process::ExitCode;

/// What a program is called that stands on the command line.
const INLINE: &str = "<program>";
/// Bytes of output that wait for more, where more input is at hand.
const OUTPUT_BYTES: usize = 64 * 1024;

/// Runs a program over events, or the prompt where there is no program.
pub fn run(args: &VrlArgs) -> ExitCode {
    let timezone = match timezone(args.timezone.as_deref()) {
        Ok(timezone) => timezone,
        Err(Invalid { message, help, .. }) => {
            return refuse(&format!("--timezone: {message}; {}", help.unwrap_or_default()));
        }
    };
    let source = match (&args.file, &args.program) {
        (Some(file), _) => match std::fs::read_to_string(file) {
            Ok(text) => Source { name: file.display().to_string(), text },
            Err(e) => return refuse(&format!("can't read the program {}: {e}", file.display())),
        },
        (None, Some(text)) => Source { name: INLINE.to_owned(), text: text.clone() },
        (None, None) if io::stdin().is_terminal() => return prompt::run(args, timezone),
        (None, None) => {
            return refuse("there is no program: write one behind `vrl`, or name a file by `-f`");
        }
    };
    let mut program = match Program::new("", &source.text, timezone) {
        Ok(program) => program,
        Err(invalid) => {
            complain(&drawn(&invalid, Severity::Error, &source, io::stderr().is_terminal()));
            return EXIT_REFUSED.into();
        }
    };
    for warning in program.warnings() {
        complain(&drawn(warning, Severity::Warning, &source, io::stderr().is_terminal()));
    }
    let shown = if args.result { Show::Value } else { Show::Event };
    let out = BufWriter::with_capacity(OUTPUT_BYTES, io::stdout());
    let mut output = Output { program: source.text.clone(), out, counts: Counts::default() };
    let done = if args.no_input || args.input.is_none() && io::stdin().is_terminal() {
        let nothing = Event::new(Origin::new(Stream::default().into(), 0, crate::delivery::clock::now_ms()));
        output.one(&mut program, nothing, shown, &String::new)
    } else {
        match Input::open(args) {
            Ok(input) => over(input, &mut program, shown, &mut output),
            Err(why) => return refuse(&why),
        }
    };
    finish(done.and_then(|()| output.out.flush().map_err(Broken::Output)), &output.counts)
}

/// What ended a run before its time.
enum Broken {
    Input(String),
    Output(io::Error),
}

/// What there is to tell at the end.
#[derive(Default)]
struct Counts {
    failed: u64,
    faults: u64,
    aborted: u64,
    emptied: u64,
}

struct Output {
    /// The text of the program, for places in it.
    program: String,
    out: BufWriter<io::Stdout>,
    counts: Counts,
}

fn over(mut input: Input, program: &mut Program, show: Show, output: &mut Output) -> Result<(), Broken> {
    while let Some(item) = input.next().map_err(Broken::Input)? {
        match item {
            Item::Event(event) => {
                let offset = event.origin().offset();
                output.one(program, event, show, &|| format!("{}: ", input.place(offset)))?;
            }
            Item::Fault(why, place) => {
                output.counts.faults += 1;
                output.out.flush().map_err(Broken::Output)?;
                complain(&format!("evaltrail: {place}: this can't be decoded: {why}\n"));
            }
            // Nothing more is there for now: what is done has to be seen.
            Item::Pause => output.out.flush().map_err(Broken::Output)?,
        }
    }
    Ok(())
}

impl Output {
    fn one(
        &mut self,
        program: &mut Program,
        event: Event,
        show: Show,
        place: &dyn Fn() -> String,
    ) -> Result<(), Broken> {
        let mut lines = Vec::new();
        match run_shown(program, event, show, &mut lines) {
            Ran::Done => {}
            Ran::Nothing => self.counts.emptied += 1,
            Ran::Failed(failure) if failure.is_abort => self.counts.aborted += 1,
            Ran::Failed(failure) => {
                self.counts.failed += 1;
                // In the order in which it happens, where both go to one screen.
                self.out.flush().map_err(Broken::Output)?;
                complain(&format!("evaltrail: {}{}\n", place(), placed(&failure.message, &self.program)));
            }
        }
        self.out.write_all(&lines).map_err(Broken::Output)
    }
}

fn finish(done: Result<(), Broken>, counts: &Counts) -> ExitCode {
    match done {
        Err(Broken::Output(e)) if e.kind() == ErrorKind::BrokenPipe => return ExitCode::SUCCESS,
        Err(Broken::Output(e)) => {
            complain(&format!("evaltrail: can't write to standard output: {e}\n"));
            return EXIT_FAILED.into();
        }
        Err(Broken::Input(why)) => {
            complain(&format!("evaltrail: {why}\n"));
            return EXIT_FAILED.into();
        }
        Ok(()) => {}
    }
    for (count, why) in [
        (counts.aborted, "dropped: the program said `abort`"),
        (counts.emptied, "dropped: the program made no event of it"),
        (counts.failed, "on which the program has failed"),
    ] {
        if count > 0 {
            complain(&format!("evaltrail: {count} event{} {why}\n", if count == 1 { "" } else { "s" }));
        }
    }
    if counts.failed + counts.faults > 0 { EXIT_FAILED.into() } else { ExitCode::SUCCESS }
}

fn refuse(why: &str) -> ExitCode {
    complain(&format!("evaltrail: {why}\n"));
    EXIT_REFUSED.into()
}

/// What is wrong with a program, in its own lines.
fn drawn(invalid: &Invalid, severity: Severity, source: &Source, coloured: bool) -> String {
    render_program(&Diagnostic::of_program(invalid, severity, 0), source, coloured)
}
