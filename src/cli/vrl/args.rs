//! What can be said to `evaltrail vrl`.

use crate::codec;
use clap::{Args, ValueEnum};
use std::path::PathBuf;

/// Options of `vrl`.
#[derive(Debug, Args)]
pub struct VrlArgs {
    /// The program; without it and `-f`, on a terminal, a prompt asks for one line after the other
    #[arg(value_name = "PROGRAM")]
    pub program: Option<String>,
    /// A file with the program
    #[arg(short, long, value_name = "FILE", conflicts_with = "program")]
    pub file: Option<PathBuf>,
    /// A file with events, instead of standard input
    #[arg(short, long, value_name = "FILE")]
    pub input: Option<PathBuf>,
    /// Read nothing: run once, on the empty event `{}` (as on a terminal without `--input`)
    #[arg(short, long, conflicts_with = "input")]
    pub no_input: bool,
    /// Print the value of the program's last expression instead of the event
    #[arg(short, long)]
    pub result: bool,
    /// How the input becomes events
    #[arg(long, value_enum, default_value_t = Codec::Livebook)]
    pub codec: Codec,
    /// What stands around each line of the input
    #[arg(long, value_enum, default_value_t = Unwrap::None)]
    pub unwrap: Unwrap,
    /// Where times without a zone are: `local`, or a name such as `Europe/Berlin`
    #[arg(long, value_name = "ZONE")]
    pub timezone: Option<String>,
}

/// How the input becomes events, as `decoding.codec` of a source.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum Codec {
    /// JSON objects and Livebook's text records; any other line as `{message}`
    Livebook,
    /// A JSON object per line
    Json,
    /// Each line as `{message}`
    Text,
}

impl From<Codec> for codec::Codec {
    fn from(codec: Codec) -> codec::Codec {
        match codec {
            Codec::Livebook => codec::Codec::Livebook,
            Codec::Json => codec::Codec::Json,
            Codec::Text => codec::Codec::Text,
        }
    }
}

/// What stands around each line, as `decoding.unwrap` of a source.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum Unwrap {
    /// Nothing: an object is an event as it stands
    None,
    /// To be found out
    Auto,
    /// Docker's `json-file`
    Docker,
    /// containerd and CRI-O
    Cri,
    /// `journalctl -o json`
    Journald,
    /// Fly.io
    Fly,
}

impl From<Unwrap> for codec::Unwrap {
    fn from(unwrap: Unwrap) -> codec::Unwrap {
        match unwrap {
            Unwrap::None => codec::Unwrap::None,
            Unwrap::Auto => codec::Unwrap::Auto,
            Unwrap::Docker => codec::Unwrap::Docker,
            Unwrap::Cri => codec::Unwrap::Cri,
            Unwrap::Journald => codec::Unwrap::Journald,
            Unwrap::Fly => codec::Unwrap::Fly,
        }
    }
}
