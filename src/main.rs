//! The command line of gander: parse, dispatch, exit code.

use std::process::ExitCode;

fn main() -> ExitCode {
    ExitCode::from(gander::cli::run(std::env::args_os().collect()) as u8)
}
