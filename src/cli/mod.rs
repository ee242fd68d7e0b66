//! The command line: the only place that names clap. Arguments become a plan, or a request for a
//! report.

mod budget;
mod compare;
mod doctor;
mod gate;
mod load;
mod open;
mod parse;
mod profile;
mod scenario;
mod scenarios;
mod selftest;
mod soak;
mod study;
mod sweep;
mod target;

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::commands;
use crate::commands::output::{Format, Output};
use crate::error::{Error, Exit};
use crate::report::dialect::Dialect;
use crate::store::folder::RunFolder;

/// Load-testing and profiling harness for ML-inference and LLM services.
#[derive(Debug, Parser)]
#[command(name = "gander", version, arg_required_else_help = true)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Load(Box<load::LoadArgs>),
    Profile(Box<profile::ProfileArgs>),
    Sweep(Box<sweep::SweepArgs>),
    Soak(Box<soak::SoakArgs>),
    Study(study::StudyArgs),
    /// Make the report of a run, a sweep, a study, a self-test, a comparison or a gate again from its folder, also of a run that was killed
    Report(ReportArgs),
    Compare(compare::CompareArgs),
    Gate(Box<gate::GateArgs>),
    Scenario(scenario::ScenarioArgs),
    Selftest(selftest::SelftestArgs),
    Doctor(doctor::DoctorArgs),
    /// Start reference services, each with a ledger of what it really did
    Mock(mock_server::cli::Args),
    /// What gander runs a spawned target under
    #[command(hide = true)]
    Supervise(SuperviseArgs),
}

#[derive(Debug, Args)]
struct SuperviseArgs {
    /// Value of $PORT for the command
    #[arg(long)]
    port: u16,
    #[arg(last = true, required = true)]
    command: Vec<String>,
}

#[derive(Debug, Args)]
struct ReportArgs {
    /// Folder of a run, a sweep, a study, a self-test, a comparison or a gate, as reports/2026-01-31T12-00-00-inference-mix
    run: PathBuf,
    /// Show this section alone, with all that is in it: profile, modules, errors …
    #[arg(long, value_name = "NAME")]
    section: Option<String>,
    #[command(flatten)]
    output: OutputArgs,
}

/// How results are shown.
#[derive(Debug, Args)]
#[command(next_help_heading = "Output")]
struct OutputArgs {
    /// Form of the results on standard output
    #[arg(long, value_enum, default_value_t = FormatArg::Text)]
    format: FormatArg,
    /// Show no progress
    #[arg(short, long)]
    quiet: bool,
    /// Show the times of streams by another tool's names and formulas besides
    #[arg(long, value_enum, value_name = "TOOL")]
    dialect: Option<DialectArg>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum DialectArg {
    /// vllm bench serve
    Vllm,
    Guidellm,
    Aiperf,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum FormatArg {
    /// Tables for a person
    Text,
    /// The summary for a machine
    Json,
}

impl From<FormatArg> for Format {
    fn from(argument: FormatArg) -> Format {
        match argument {
            FormatArg::Text => Format::Text,
            FormatArg::Json => Format::Json,
        }
    }
}

impl OutputArgs {
    fn output(&self) -> Output {
        let format = Format::from(self.format);
        let dialect = self.dialect.map(|tool| match tool {
            DialectArg::Vllm => Dialect::Vllm,
            DialectArg::Guidellm => Dialect::Guidellm,
            DialectArg::Aiperf => Dialect::Aiperf,
        });
        Output { format, quiet: self.quiet, dialect }
    }
}

/// Parses `arguments`, carries the command out, and says how it went.
pub fn run(arguments: Vec<OsString>) -> Exit {
    let command_line: Vec<String> =
        arguments.iter().map(|argument| argument.to_string_lossy().into_owned()).collect();
    let is_mock = command_line.get(1).is_some_and(|command| command == "mock");
    let cli = match Cli::try_parse_from(arguments) {
        Ok(cli) => cli,
        Err(error) => {
            let error = if is_mock { mock_server::cli::explained(error) } else { error };
            // Help and version are no errors; clap knows which stream they belong to.
            let _ = error.print();
            return if error.use_stderr() { Exit::BadInput } else { Exit::Passed };
        }
    };
    // What is kept of a command line is read by others.
    let command_line = command_line.iter().map(|word| mock_server::config::concealed(word));
    cli.command.run(command_line.collect()).unwrap_or_else(|error| commands::output::failed(&error))
}

impl Command {
    fn run(self, command_line: Vec<String>) -> Result<Exit, Error> {
        match self {
            Command::Load(arguments) => arguments.run(command_line),
            Command::Profile(arguments) => arguments.run(command_line),
            Command::Sweep(arguments) => arguments.run(command_line),
            Command::Soak(arguments) => arguments.run(command_line),
            Command::Study(arguments) => arguments.run(command_line),
            Command::Compare(arguments) => arguments.run(command_line),
            Command::Gate(arguments) => arguments.run(command_line),
            Command::Report(arguments) => commands::report::report(
                &RunFolder::open(arguments.run),
                arguments.section.as_deref(),
                &arguments.output.output(),
            ),
            Command::Scenario(arguments) => {
                let mut text = Vec::new();
                let exit = scenario::run(&arguments, &mut text);
                // What was said before an error is shown as well.
                Output::default().print(&String::from_utf8_lossy(&text))?;
                exit
            }
            Command::Selftest(arguments) => arguments.run(command_line),
            Command::Doctor(arguments) => arguments.run(),
            Command::Mock(arguments) => commands::mock::mock(arguments),
            Command::Supervise(arguments) => {
                commands::supervise::supervise(&arguments.command, arguments.port)
            }
        }
    }
}
