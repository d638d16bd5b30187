//! `evaltrail graph`, `completions` and `man`.

use super::args::{Cli, GraphArgs, GraphFormat};
use super::load::{load, variable};
use super::{EXIT_FAILED, EXIT_REFUSED, complain, print};
use crate::config::Environment;
use crate::topology::{Drawing, draw};
use clap::CommandFactory;
use clap_complete::Shell;
use std::io;
use std::process::ExitCode;

/// Draws a pipeline.
pub fn run(args: &GraphArgs) -> ExitCode {
    let Some((loaded, _)) = load(&args.config, Environment::Of(&variable)) else {
        return EXIT_REFUSED.into();
    };
    let how = match args.format {
        GraphFormat::Text => Drawing::Text,
        GraphFormat::Mermaid => Drawing::Mermaid,
        GraphFormat::Dot => Drawing::Dot,
    };
    print(&draw(&loaded.plan, how))
}

/// Prints what a shell reads to complete our words.
pub fn completions(shell: Shell) -> ExitCode {
    let mut out = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "evaltrail", &mut out);
    print(&String::from_utf8_lossy(&out))
}

/// Prints the manual page, with a section for every command.
pub fn man() -> ExitCode {
    let command = Cli::command().disable_help_subcommand(true);
    let mut out = Vec::new();
    let written = clap_mangen::Man::new(command.clone())
        .render(&mut out)
        .and_then(|()| pages(&command, "evaltrail", &mut out));
    match written {
        Ok(()) => print(&String::from_utf8_lossy(&out)),
        Err(e) => {
            complain(&format!("evaltrail: can't write the manual page: {e}\n"));
            EXIT_FAILED.into()
        }
    }
}

/// Writes the sections of all commands below `command`, those of their own included.
fn pages(command: &clap::Command, name: &str, out: &mut Vec<u8>) -> io::Result<()> {
    for sub in command.get_subcommands().filter(|sub| sub.get_name() != "help") {
        // It lives as long as the program, which ends when it is printed.
        let full: &'static str = format!("{name}-{}", sub.get_name()).leak();
        let page = clap_mangen::Man::new(sub.clone().name(full));
        page.render_name_section(out)?;
        page.render_synopsis_section(out)?;
        page.render_description_section(out)?;
        page.render_options_section(out)?;
        pages(sub, full, out)?;
    }
    Ok(())
}
