//! What can be said on the command line.

use super::trail::TrailCommand;
use super::vrl::VrlArgs;
use clap::{Args, Parser, Subcommand, ValueEnum};
use std::num::NonZeroU64;
use std::path::PathBuf;
use std::time::Duration;

/// What `--help` says in front of the options.
const ABOUT: &str = "\
Turns the logs of a notebook server (Livebook) into an audit trail of code evaluation.

Without a command it runs a pipeline; without a config, the embedded one, which reads Livebook's log on standard \
input and writes one line of JSON for each evaluation:

    livebook server 2>&1 | evaltrail";

/// Turns the logs of a notebook server (Livebook) into an audit trail of code evaluation.
#[derive(Debug, Parser)]
#[command(name = "evaltrail", version, long_about = ABOUT, args_conflicts_with_subcommands = true)]
pub struct Cli {
    /// The command; `run` where there is none.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// What `run` takes.
    #[command(flatten)]
    pub run: RunArgs,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Runs a pipeline (the default)
    Run(RunArgs),
    /// Checks a config and shows everything that is wrong with it
    Validate(ValidateArgs),
    /// Runs the `[[tests]]` of a config: events through its transforms, without a source or a sink
    Test(TestArgs),
    /// Prints a commented config to start from
    Init(InitArgs),
    /// Sends dead letters again: events that the receiver of a sink has refused
    Replay(ReplayArgs),
    /// Reads a log on standard input, and tells which rule of the policy decides about each evaluation, and why
    Explain(ConfigArgs),
    /// Draws a pipeline: who feeds whom, ports included
    Graph(GraphArgs),
    /// Shows how a running pipeline goes: events a second, drops, lags, buffers, trouble
    Top(TopArgs),
    /// Shows a live sample of the events at a component of a running pipeline
    Tap(TapArgs),
    /// Prints what a shell needs to complete the words of a command line
    Completions {
        /// Which shell
        #[arg(value_enum)]
        shell: clap_complete::Shell,
    },
    /// Prints the manual page
    Man,
    /// Lists the components, one line each
    List,
    /// Runs a program in VRL over events, or asks for one line after the other
    Vrl(VrlArgs),
    /// Shows the reference page of a component or a function
    Describe(DescribeArgs),
    /// Prints the JSON Schema of a config, for editors
    Schema,
    /// Looks at a buffer on disk, or repairs it
    #[command(subcommand)]
    Buffer(BufferCommand),
    /// Works with tamper-evident trails: makes keys, shows records, verifies, proves
    #[command(subcommand)]
    Trail(TrailCommand),
}

/// What can be done with a buffer on disk.
#[derive(Debug, Subcommand)]
pub enum BufferCommand {
    /// Shows what is in a buffer; exits with 1 if it is damaged
    Show(BufferArgs),
    /// Makes a damaged buffer usable again, and keeps all that can be read
    Repair(BufferArgs),
}

/// Options of `graph`.
#[derive(Debug, Args)]
pub struct GraphArgs {
    /// Where the config comes from.
    #[command(flatten)]
    pub config: ConfigArgs,
    /// How it is drawn
    #[arg(long, value_enum, default_value_t = GraphFormat::Text, value_name = "FORMAT")]
    pub format: GraphFormat,
}

/// How a pipeline is drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum GraphFormat {
    /// A table
    Text,
    /// A flowchart of Mermaid
    Mermaid,
    /// A digraph of Graphviz
    Dot,
}

/// Which buffer.
#[derive(Debug, Args)]
pub struct BufferArgs {
    /// Folder of the buffer: `buffers/<sink id>` in the `data_dir`
    #[arg(value_name = "FOLDER")]
    pub folder: PathBuf,
}

/// Where the config comes from.
#[derive(Clone, Debug, Args)]
pub struct ConfigArgs {
    /// Config to read: a file, a folder of `*.toml`, or `-` for standard input; several are merged
    #[arg(short, long = "config", value_name = "FILE|DIR|-")]
    pub config: Vec<PathBuf>,
}

/// Which running pipeline is asked.
#[derive(Debug, Args)]
pub struct ApiArgs {
    /// Where its API is; else where the config says, or 127.0.0.1:8686
    #[arg(long, value_name = "HOST:PORT")]
    pub address: Option<String>,
    /// Where the config comes from.
    #[command(flatten)]
    pub config: ConfigArgs,
}

/// Options of `top`.
#[derive(Debug, Args)]
pub struct TopArgs {
    /// Which pipeline.
    #[command(flatten)]
    pub api: ApiArgs,
    /// Time between two looks, in seconds, 0.1 to 3600
    #[arg(long, default_value = "1", value_name = "SECS", value_parser = interval)]
    pub interval: Duration,
    /// Look twice, print one table and end, as where standard output is no terminal
    #[arg(long)]
    pub once: bool,
}

/// Options of `tap`.
#[derive(Debug, Args)]
pub struct TapArgs {
    /// A component (what leaves it; of a sink, what it takes in), or a port (`livebook.faults`, `siem.rejected`)
    #[arg(value_name = "ID")]
    pub output: String,
    /// Which pipeline.
    #[command(flatten)]
    pub api: ApiArgs,
    /// End after so many events
    #[arg(long, value_name = "N")]
    pub limit: Option<NonZeroU64>,
    /// Show them for people: time, users, mode, and the code as written
    #[arg(long)]
    pub pretty: bool,
    /// Add where each was read, and why it was rejected, as its member `%`
    #[arg(long, conflicts_with = "pretty")]
    pub origin: bool,
}

fn interval(text: &str) -> Result<Duration, String> {
    let secs: f64 = text.parse().map_err(|_| "it is no number of seconds".to_owned())?;
    match (0.1..=3600.0).contains(&secs) {
        true => Ok(Duration::from_secs_f64(secs)),
        false => Err("it has to be from 0.1 to 3600 seconds".to_owned()),
    }
}

/// Options of `run`.
#[derive(Debug, Args)]
pub struct RunArgs {
    /// Where the config comes from.
    #[command(flatten)]
    pub config: ConfigArgs,
    /// Read what is there, to its end, and finish
    #[arg(long)]
    pub once: bool,
    /// Check every record, and exit with 1 if one can't be decoded
    #[arg(long)]
    pub deny_faults: bool,
    /// Go on with a new config as soon as the files of the old one change, as on SIGHUP
    #[arg(long, requires = "config")]
    pub watch_config: bool,
    /// What is said on the way.
    #[command(flatten)]
    pub log: LogArgs,
}

/// What is said on the way.
#[derive(Debug, Args)]
pub struct LogArgs {
    /// How evaltrail's own log is written, on standard error: lines for people, or one JSON object per line
    #[arg(long, value_enum, default_value_t = LogFormat::Text, value_name = "FORMAT")]
    pub log_format: LogFormat,
    /// Say more on standard error, details for finding a fault among it
    #[arg(short, long, conflicts_with = "quiet")]
    pub verbose: bool,
    /// Say nothing but errors on standard error, and show no progress
    #[arg(short, long)]
    pub quiet: bool,
}

/// Options of `replay`.
#[derive(Debug, Args)]
pub struct ReplayArgs {
    /// The dead letters, as in `<data_dir>/dead_letters/<sink>.jsonl`; what is delivered is taken out
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// Where the config comes from.
    #[command(flatten)]
    pub config: ConfigArgs,
    /// Id of the sink that gets them
    #[arg(long, value_name = "ID")]
    pub sink: String,
    /// What is said on the way.
    #[command(flatten)]
    pub log: LogArgs,
}

/// Options of `validate`.
#[derive(Debug, Args)]
pub struct ValidateArgs {
    /// Where the config comes from.
    #[command(flatten)]
    pub config: ConfigArgs,
    /// Check the structure alone: variables need not be set, and no key or certificate is looked for
    #[arg(long)]
    pub no_environment: bool,
    /// Exit with 2 on a warning too
    #[arg(long)]
    pub deny_warnings: bool,
}

/// Options of `describe`.
#[derive(Debug, Args)]
pub struct DescribeArgs {
    /// Component (`remap`, or `sink file` where two have one name) or function of VRL; without it, all are listed
    #[arg(value_name = "NAME", num_args = 0..=2)]
    pub name: Vec<String>,
}

/// Options of `test`.
#[derive(Debug, Args)]
pub struct TestArgs {
    /// Run only the tests that have this in their names
    #[arg(value_name = "NAME")]
    pub name: Option<String>,
    /// Where the config comes from.
    #[command(flatten)]
    pub config: ConfigArgs,
    /// Write the results to this file too, as JUnit XML
    #[arg(long, value_name = "FILE")]
    pub junit_report: Option<PathBuf>,
}

/// Options of `init`.
#[derive(Debug, Args)]
pub struct InitArgs {
    /// Which config
    #[arg(long, value_enum, default_value_t = Preset::Stdin)]
    pub preset: Preset,
}

/// The configs that `init` prints.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum Preset {
    /// Livebook's log on standard input: the embedded pipeline
    Stdin,
    /// Log files in, files out
    File,
    /// Other shippers post to us, and we to a SIEM
    Http,
    /// The logs that Docker keeps of its containers
    Docker,
    /// The logs that the kubelet keeps of its pods
    Kubernetes,
    /// The log of a Livebook that does not exist, for a first look
    Demo,
}

/// The forms of evaltrail's own log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// Lines for people
    Text,
    /// One JSON object per line
    Json,
}
