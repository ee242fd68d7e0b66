//! The reference services on their own: `cargo run -p mock-server -- inference --port 8000`.

use std::io::{self, Write};
use std::process::ExitCode;

use clap::Parser;
use mock_server::cli::{self, Error};

/// Reference services with a ground-truth ledger
#[derive(Parser)]
#[command(name = "mock-server", version)]
struct CommandLine {
    #[command(flatten)]
    args: cli::Args,
}

fn main() -> ExitCode {
    let args = match CommandLine::try_parse() {
        Ok(CommandLine { args }) => args,
        Err(error) => cli::explained(error).exit(),
    };
    let Err(error) = cli::run(args, &[], &mut io::stdout()) else {
        return ExitCode::SUCCESS;
    };
    // With no standard error to write to, the exit code still tells.
    let _ = match &error {
        // It has headings of its own.
        Error::Settings(shown) => writeln!(io::stderr(), "{shown}"),
        other => writeln!(io::stderr(), "error: {other}"),
    };
    ExitCode::from(if error.is_bad_input() { 2 } else { 3 })
}
