//! `gander supervise`: what gander runs a `--spawn`ed command under. Not for users.

use std::io::stdout;

use crate::error::{Error, Exit};
use crate::target::supervisor;

/// Runs `command`, with `port` in its `$PORT`, until it ends or standard input does.
pub fn supervise(command: &[String], port: u16) -> Result<Exit, Error> {
    supervisor::supervise(command, port, &mut stdout()).map(|()| Exit::Passed)
}
