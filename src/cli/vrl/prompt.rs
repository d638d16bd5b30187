//! The prompt: one line after the other, with what they have made of the event and of variables kept.

use super::args::VrlArgs;
use super::history;
use super::input::{Input, Item};
use super::{drawn, refuse};
use crate::cli::load::variable;
use crate::cli::{EXIT_FAILED, complain, print};
use crate::config::{Severity, Source};
use crate::event::{Event, Origin, Stream};
use crate::language::{
    Session, Trouble, function_names, function_page, function_summary, functions_beginning, is_incomplete,
    placed,
};
use rustyline::completion::Completer;
use rustyline::error::ReadlineError;
use rustyline::highlight::Highlighter;
use rustyline::hint::Hinter;
use rustyline::history::FileHistory;
use rustyline::validate::{ValidationContext, ValidationResult, Validator};
use rustyline::{CompletionType, Config, Context, Editor, Helper};
use std::collections::VecDeque;
use std::io::{self, IsTerminal};
use std::process::ExitCode;
use vrl::compiler::TimeZone;

/// Events that `prev` can go back to.
const EVENTS_KEPT_MAX: usize = 1000;
/// Lines that are remembered.
const HISTORY_LINES_MAX: usize = 1000;

const COMMANDS: [&str; 6] = ["help", "help functions", "help ", "next", "prev", "exit"];

const HELP: &str = "\
Write a program in VRL, a line or more at a time: its value is shown. `.` is the event; what is written to it stays, and
variables do too. A piece that fails changes nothing of the event. A piece goes on over lines until its brackets and
quotes are closed; an empty line ends it where it stands.

  next              goes on to the next event of --input
  prev              goes back to the one before, as it was read
  help functions    lists the functions
  help FUNCTION     shows the page of one
  exit              ends the prompt, as Ctrl-D does

Tab completes the name of a function. Ctrl-C takes back what was typed.
";

/// Asks until nothing more is said.
pub fn run(args: &VrlArgs, timezone: TimeZone) -> ExitCode {
    if args.input.as_ref().is_some_and(|input| input.as_os_str() == "-") {
        return refuse("the prompt reads the terminal itself: name a file with events, or give a program");
    }
    let mut events = match Events::open(args) {
        Ok(events) => events,
        Err(why) => return refuse(&why),
    };
    let config = Config::builder().completion_type(CompletionType::List).auto_add_history(true);
    let config = config.max_history_size(HISTORY_LINES_MAX).map(rustyline::config::Builder::build);
    let editor = config.and_then(Editor::<Hand, FileHistory>::with_config);
    let mut editor = match editor {
        Ok(editor) => editor,
        Err(e) => {
            complain(&format!("evaltrail: can't ask on this terminal: {e}\n"));
            return EXIT_FAILED.into();
        }
    };
    editor.set_helper(Some(Hand));
    let history = history::file(variable);
    if let Some(file) = &history {
        // Without what was said before, or with nothing to keep it in, the prompt is still a prompt.
        editor.load_history(file).unwrap_or_default();
    }
    let mut session = Session::new(timezone);
    print(&format!(
        "evaltrail {}: programs in VRL. `help` tells what can be said.\n",
        env!("CARGO_PKG_VERSION")
    ));
    if let Some(event) = events.current() {
        session.turn_to(event);
        print(&format!("{}\n", session.event()));
    }
    loop {
        match editor.readline("> ") {
            Ok(line) => match line.trim() {
                "" => {}
                "exit" | "quit" => break,
                "help" => drop(print(HELP)),
                "next" => turn(&mut session, events.next(), "there is no event behind this one"),
                "prev" => turn(&mut session, events.prev(), "there is no event before this one"),
                line => match line.strip_prefix("help ") {
                    Some(what) => drop(print(&help(what.trim()))),
                    None => answer(&mut session, line),
                },
            },
            Err(ReadlineError::Interrupted) => {}
            Err(ReadlineError::Eof) => break,
            Err(e) => {
                complain(&format!("evaltrail: can't read from this terminal: {e}\n"));
                return EXIT_FAILED.into();
            }
        }
    }
    if let Some(file) = &history {
        if let Some(folder) = file.parent() {
            std::fs::create_dir_all(folder).unwrap_or_default();
        }
        editor.append_history(file).unwrap_or_default();
    }
    ExitCode::SUCCESS
}

fn answer(session: &mut Session, line: &str) {
    match session.run(line) {
        Ok(value) => drop(print(&format!("{value}\n"))),
        Err(Trouble::Invalid(invalid)) => {
            let source = Source { name: "<line>".to_owned(), text: line.to_owned() };
            complain(&drawn(&invalid, Severity::Error, &source, io::stderr().is_terminal()));
        }
        Err(Trouble::Failed(failure)) if failure.is_abort => {
            complain(&format!("aborted: {}\n", failure.message))
        }
        Err(Trouble::Failed(failure)) => complain(&format!("error: {}\n", placed(&failure.message, line))),
    }
}

fn turn(session: &mut Session, event: Result<Option<&Event>, String>, none: &str) {
    match event {
        Ok(Some(event)) => {
            session.turn_to(event);
            print(&format!("{}\n", session.event()));
        }
        Ok(None) => complain(&format!("{none}\n")),
        Err(why) => complain(&format!("{why}\n")),
    }
}

fn help(what: &str) -> String {
    if what == "functions" {
        let width = function_names(false).iter().map(|name| name.len()).max().unwrap_or(0);
        let line = |name: &str| format!("{name:<width$}  {}\n", function_summary(name).unwrap_or_default());
        return function_names(false).into_iter().map(line).collect();
    }
    let name = what.trim_end_matches(['!', '(', ')']);
    function_page(name)
        .unwrap_or_else(|| format!("there is no function `{name}`; `help functions` lists them\n"))
}

/// The events of the input, forth and back.
struct Events {
    input: Option<Input>,
    seen: VecDeque<Event>,
    at: usize,
}

impl Events {
    /// The events that `args` name, with the first one read; the empty event, where they name none.
    fn open(args: &VrlArgs) -> Result<Events, String> {
        let input = args.input.as_ref().map(|_| Input::open(args)).transpose()?;
        let mut events = Events { input, seen: VecDeque::new(), at: 0 };
        if events.input.is_none() {
            events.seen.push_back(Event::new(Origin::new(Stream::default().into(), 0, 0)));
        } else {
            events.read()?;
        }
        Ok(events)
    }

    fn current(&self) -> Option<&Event> {
        self.seen.get(self.at)
    }

    fn next(&mut self) -> Result<Option<&Event>, String> {
        if self.at + 1 >= self.seen.len() && !self.read()? {
            return Ok(None);
        }
        self.at = (self.at + 1).min(self.seen.len().saturating_sub(1));
        Ok(self.current())
    }

    fn prev(&mut self) -> Result<Option<&Event>, String> {
        let Some(before) = self.at.checked_sub(1) else { return Ok(None) };
        self.at = before;
        Ok(self.current())
    }

    /// Reads one more event; whether there was one. What can't be decoded is passed over, with a word.
    fn read(&mut self) -> Result<bool, String> {
        let Some(input) = &mut self.input else { return Ok(false) };
        loop {
            match input.next()? {
                None => return Ok(false),
                Some(Item::Pause) => {}
                Some(Item::Fault(why, place)) => {
                    complain(&format!("{place}: this can't be decoded: {why}\n"))
                }
                Some(Item::Event(mut event)) => {
                    event.detach();
                    self.seen.push_back(event);
                    if self.seen.len() > EVENTS_KEPT_MAX {
                        self.seen.pop_front();
                        self.at = self.at.saturating_sub(1);
                    }
                    return Ok(true);
                }
            }
        }
    }
}

/// What helps with typing.
struct Hand;

impl Helper for Hand {}
impl Highlighter for Hand {}

impl Hinter for Hand {
    type Hint = String;
}

impl Completer for Hand {
    type Candidate = String;

    fn complete(&self, line: &str, at: usize, _: &Context<'_>) -> rustyline::Result<(usize, Vec<String>)> {
        let before = line.get(..at).unwrap_or_default();
        let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_';
        let word = before.rsplit(|c| !is_part(c)).next().unwrap_or_default();
        let start = before.len() - word.len();
        // A path is no function.
        if before.get(..start).is_some_and(|front| front.ends_with(['.', '%'])) || word.is_empty() {
            return Ok((at, Vec::new()));
        }
        let commands = COMMANDS.iter().filter(|command| start == 0 && command.starts_with(word));
        let commands = commands.map(|command| (*command).to_owned());
        Ok((start, functions_beginning(word).into_iter().map(str::to_owned).chain(commands).collect()))
    }
}

impl Validator for Hand {
    fn validate(&self, context: &mut ValidationContext<'_>) -> rustyline::Result<ValidationResult> {
        let text = context.input();
        let is_command =
            COMMANDS.iter().any(|command| text.trim() == command.trim()) || text.starts_with("help ");
        let goes_on = !is_command && !text.ends_with("\n") && is_incomplete(text);
        Ok(if goes_on { ValidationResult::Incomplete } else { ValidationResult::Valid(None) })
    }
}
