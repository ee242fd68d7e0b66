//! Keeps standard output ours: Goose prints a line when its users are launched.

use std::fs::OpenOptions;
use std::os::fd::OwnedFd;

/// While this lives, what the process prints to standard output goes nowhere.
#[derive(Debug)]
pub struct QuietStdout {
    original: Option<OwnedFd>,
}

impl QuietStdout {
    /// Redirects standard output. Where that fails, a stray line of Goose is the only harm.
    pub fn begin() -> Self {
        let redirect = || -> std::io::Result<OwnedFd> {
            let original = rustix::io::dup(rustix::stdio::stdout())?;
            let nowhere = OpenOptions::new().write(true).open("/dev/null")?;
            rustix::stdio::dup2_stdout(&nowhere)?;
            Ok(original)
        };
        QuietStdout { original: redirect().ok() }
    }
}

impl Drop for QuietStdout {
    fn drop(&mut self) {
        if let Some(original) = &self.original {
            // Nothing is left to report to if this fails.
            let _ = rustix::stdio::dup2_stdout(original);
        }
    }
}
