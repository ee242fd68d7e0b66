//! `gander mock`: a reference service until it is stopped.

use std::io::stdout;

use mock_server::cli::{Args, Error as MockError, run};

use crate::error::{Error, Exit};

/// Runs a reference service; its first line on standard output says where it listens.
pub fn mock(arguments: Args) -> Result<Exit, Error> {
    match run(arguments, &mut stdout()) {
        Ok(()) => Ok(Exit::Passed),
        Err(error @ MockError::Arguments(_)) => Err(Error::BadInput(error.to_string())),
        Err(error) => Err(Error::CannotRun(error.to_string())),
    }
}
