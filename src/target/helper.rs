//! A program that gander has do something for it beside the load. It runs under a supervisor, as a
//! spawned target does, so that it never outlives gander.

use std::sync::mpsc::Receiver;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::error::Error;

use super::{OwnedProcess, POLL, supervisor};

/// How long its last lines may be on their way once it has ended.
const LINES_WITHIN: Duration = Duration::from_secs(2);

/// A running program. It is gone, with all that it started, when this is dropped.
#[derive(Debug)]
pub struct Helper {
    process: OwnedProcess,
    /// Its lines, as they come; at their end once its outputs are closed.
    lines: Receiver<String>,
    pid: Option<Pid>,
}

impl Helper {
    /// Starts `command`, program and arguments.
    ///
    /// # Errors
    ///
    /// It cannot be started.
    pub fn start(command: &[String]) -> Result<Helper, Error> {
        let mut arguments = ["supervise", "--port", "0", "--"].map(str::to_owned).to_vec();
        arguments.extend_from_slice(command);
        let (process, lines) = OwnedProcess::start(&arguments, &[])?;
        let announced = process.wait_for_line(&lines, &command.join(" "), supervisor::ANNOUNCES)?;
        let pid = announced.rsplit(supervisor::ANNOUNCES).next().and_then(|pid| pid.parse().ok());
        Ok(Helper { process, lines, pid: pid.and_then(Pid::from_raw) })
    }

    /// Asks it to come to its end, as Ctrl-C does.
    pub fn interrupt(&self) {
        // One that has ended by itself needs no signal.
        if let (Some(pid), false) = (self.pid, self.has_ended()) {
            let _ = kill_process(pid, Signal::INT);
        }
    }

    /// Whether it has ended.
    pub fn has_ended(&self) -> bool {
        self.process.ended().is_some()
    }

    /// Waits for its end; says whether it came within `limit`.
    pub fn ends_within(&self, limit: Duration) -> bool {
        let deadline = Instant::now() + limit;
        while !self.has_ended() {
            if Instant::now() >= deadline {
                return false;
            }
            std::thread::sleep(POLL);
        }
        true
    }

    /// The last lines that it wrote; all of them are there where it has ended.
    pub fn said(&self) -> String {
        let deadline = Instant::now() + LINES_WITHIN;
        let left = || deadline.saturating_duration_since(Instant::now());
        while self.has_ended() && self.lines.recv_timeout(left()).is_ok() {}
        self.process.said()
    }
}
