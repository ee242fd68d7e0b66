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
    let CommandLine { args } = CommandLine::parse();
    let Err(error) = cli::run(args, &mut io::stdout()) else {
        return ExitCode::SUCCESS;
    };
    // With no standard error to write to, the exit code still tells.
    let _ = writeln!(io::stderr(), "error: {error}");
    ExitCode::from(match error {
        Error::Arguments(_) => 2,
        Error::PortInUse { .. } | Error::Listen { .. } | Error::Io(_) => 3,
    })
}
