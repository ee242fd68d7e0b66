//! Stands between gander and a command that it spawned, as a process of its own: whatever ends
//! gander, `kill -9` included, ends the command and everything in its process group.

use std::io::{Read, Write};
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::sync::mpsc::{Sender, channel};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process_group, test_kill_process_group};

use crate::error::Error;

use super::POLL;

/// How long the command may take to leave after SIGTERM.
pub const LEAVE_WITHIN: Duration = Duration::from_secs(5);
/// Begins the first line that the supervisor writes; the command's process id follows.
pub const ANNOUNCES: &str = "gander started process ";

enum Event {
    /// Standard input has ended: gander is done with the command, or is gone.
    Left,
    Ended(std::io::Result<std::process::ExitStatus>),
}

/// Runs `command`, with `port` in its `$PORT`, in a process group of its own until it ends or
/// standard input does. Says its process id on `out` first.
pub fn supervise(command: &[String], port: u16, out: &mut dyn Write) -> Result<(), Error> {
    let (program, arguments) = command
        .split_first()
        .ok_or_else(|| Error::BadInput("expected a command to supervise".to_owned()))?;
    let mut child = Command::new(program)
        .args(arguments)
        .env("PORT", port.to_string())
        .process_group(0)
        .stdin(Stdio::null())
        .spawn()
        .map_err(|e| Error::CannotRun(format!("cannot start {program}: {e}; is it installed?")))?;
    let group = child.id();
    let announced = writeln!(out, "{ANNOUNCES}{group}").and_then(|()| out.flush());
    let (events, happened) = channel();
    let of_input: Sender<Event> = events.clone();
    std::thread::spawn(move || {
        let _ = std::io::stdin().read_to_end(&mut Vec::new());
        // Nobody listens any more where the command has ended.
        let _ = of_input.send(Event::Left);
    });
    std::thread::spawn(move || {
        let _ = events.send(Event::Ended(child.wait()));
    });
    // Nobody to tell the process id to is nobody to run the command for.
    let event = if announced.is_ok() { happened.recv().ok() } else { None };
    end_group(group);
    match event {
        Some(Event::Ended(Ok(status))) => {
            Err(Error::CannotRun(format!("{} ended with {status}", command.join(" "))))
        }
        Some(Event::Ended(Err(e))) => Err(Error::CannotRun(format!("cannot wait: {e}"))),
        Some(Event::Left) | None => Ok(()),
    }
}

/// Asks the group to leave, and kills what does not.
fn end_group(group: u32) {
    let Some(group) = i32::try_from(group).ok().and_then(Pid::from_raw) else { return };
    // A group that is gone needs no signal.
    let _ = kill_process_group(group, Signal::TERM);
    let deadline = Instant::now() + LEAVE_WITHIN;
    while test_kill_process_group(group).is_ok() {
        if Instant::now() >= deadline {
            let _ = kill_process_group(group, Signal::KILL);
            return;
        }
        std::thread::sleep(POLL);
    }
}
