//! `evaltrail man`: the manual page, made of what `--help` says.
//!
//! There is one page for all commands, so each is a section of it, under the name that is typed (`evaltrail run`), and
//! nothing refers to a page that does not exist. What `--help` has no place for stands behind them: how it ends, what
//! signals do, which variables it reads, and where an installed one has its files.

use super::args::Cli;
use super::{EXIT_FAILED, complain, print};
use clap::CommandFactory;
use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, roman};
use std::io;
use std::process::ExitCode;

/// Terms and what they mean, under a heading.
type Section = (&'static str, &'static [(&'static str, &'static str)]);

/// What is not about one command.
const SECTIONS: [Section; 4] = [
    (
        "EXIT STATUS",
        &[
            ("0", "Everything that was read is delivered, or was dropped on purpose."),
            ("1", "Something was rejected or lost, or a component failed."),
            ("2", "Bad usage or a bad config: nothing was started."),
        ],
    ),
    (
        "SIGNALS",
        &[
            (
                "SIGTERM, SIGINT",
                "It reads no more, delivers what it has read (for shutdown_timeout_secs of the config at most), and \
                 ends. A second one ends it at once.",
            ),
            ("SIGHUP", "It reads its config again. One with a mistake is refused, and what runs goes on."),
        ],
    ),
    (
        "ENVIRONMENT",
        &[
            (
                "Any variable",
                "that the config names, as ${NAME} or ${NAME:-what stands there where it is not set}.",
            ),
            (
                "NOTIFY_SOCKET, WATCHDOG_USEC, WATCHDOG_PID",
                "How a service manager is told how the run goes: see sd_notify(3).",
            ),
            (
                "JOURNAL_STREAM",
                "Where it names standard error, lines of the log have the form of the journal: see systemd.exec(5).",
            ),
            ("HTTPS_PROXY, HTTP_PROXY, ALL_PROXY, NO_PROXY", "The way to the servers of http sinks."),
            ("EVALTRAIL_PAGER, PAGER", "What shows a trail on a terminal."),
            ("NO_COLOR", "Where it is set, nothing is coloured."),
        ],
    ),
    (
        "FILES",
        &[
            (
                "/etc/evaltrail/evaltrail.toml",
                "The config of the service. Without one, `evaltrail run` uses its embedded config.",
            ),
            ("/etc/default/evaltrail", "Variables of the service, tokens among them."),
            (
                "/var/lib/evaltrail",
                "How far each file is read, buffers, dead letters: data_dir of the service.",
            ),
            (
                "/var/log/evaltrail",
                "The trail of the service. Purging the Debian package removes it, and all of /var/lib/evaltrail; \
                 removing the package keeps both.",
            ),
        ],
    ),
];

/// Prints the manual page.
pub fn run() -> ExitCode {
    let mut out = Vec::new();
    match write(&mut out) {
        Ok(()) => print(&String::from_utf8_lossy(&out)),
        Err(e) => {
            complain(&format!("evaltrail: can't write the manual page: {e}\n"));
            EXIT_FAILED.into()
        }
    }
}

fn write(out: &mut Vec<u8>) -> io::Result<()> {
    let command = Cli::command().disable_help_subcommand(true);
    let page = Man::new(command.clone());
    page.render_title(out)?;
    page.render_name_section(out)?;
    page.render_synopsis_section(out)?;
    page.render_description_section(out)?;
    page.render_options_section(out)?;
    let about = |sub: &clap::Command| {
        (
            format!("evaltrail {}", sub.get_name()),
            sub.get_about().map(ToString::to_string).unwrap_or_default(),
        )
    };
    let commands: Vec<(String, String)> = command.get_subcommands().map(about).collect();
    let commands = commands.iter().map(|(name, about)| (name.as_str(), about.as_str()));
    section("COMMANDS", commands).to_writer(out)?;
    pages(&command, "evaltrail", out)?;
    for (heading, entries) in SECTIONS {
        section(heading, entries.iter().copied()).to_writer(out)?;
    }
    page.render_version_section(out)
}

/// Writes the sections of all commands below `command`, those of their own included.
fn pages(command: &clap::Command, name: &str, out: &mut Vec<u8>) -> io::Result<()> {
    for sub in command.get_subcommands() {
        // It lives as long as the program, which ends when it is printed.
        let full: &'static str = format!("{name} {}", sub.get_name()).leak();
        let page = Man::new(sub.clone().name(full).disable_help_subcommand(true));
        page.render_name_section(out)?;
        page.render_synopsis_section(out)?;
        page.render_description_section(out)?;
        page.render_options_section(out)?;
        pages(sub, full, out)?;
    }
    Ok(())
}

fn section<'a>(heading: &str, entries: impl Iterator<Item = (&'a str, &'a str)>) -> Roff {
    let mut roff = Roff::new();
    roff.control("SH", [heading]);
    for (term, meaning) in entries {
        roff.control("TP", []);
        roff.text([bold(term)]);
        roff.text([roman(meaning)]);
    }
    roff
}
