//! `gander mock`: reference services until they are stopped.

use std::io::stdout;

use mock_server::cli::{Args, Error as MockError, run};

use crate::error::{Error, Exit};

/// Runs reference services; the first lines on standard output say where they listen.
pub fn mock(arguments: Args) -> Result<Exit, Error> {
    match run(arguments, &["mock"], &mut stdout()) {
        Ok(()) => Ok(Exit::Passed),
        Err(MockError::Settings(shown)) => Err(Error::Diagnosed(shown)),
        Err(error) if error.is_bad_input() => Err(Error::BadInput(error.to_string())),
        Err(error) => Err(Error::CannotRun(error.to_string())),
    }
}
