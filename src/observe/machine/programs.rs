//! Programs that look into processes: whether they are there, and whether they work.

use std::hint::black_box;
use std::io::Read as _;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{sleep, spawn};
use std::time::{Duration, Instant};

use crate::measure::machine::DID_NOT_END;

/// A program that has not ended by then is ended, and counts as one that does not work.
const ENDS_WITHIN: Duration = Duration::from_secs(10);
/// Between two looks whether it has.
const POLL: Duration = Duration::from_millis(10);
/// Seconds of the record.
const RECORD: &str = "0.2";

/// What `program --version` says; `None` where it is not there or does not work.
pub(super) fn version(program: &str) -> Option<String> {
    let mut command = Command::new(program);
    command.arg("--version");
    let (ended_well, said) = run(command).ok()?;
    let line = said.lines().find(|line| !line.trim().is_empty())?;
    ended_well.then(|| line.trim().to_owned())
}

/// Has perf record this process for a moment while a thread of it works; returns the number of
/// samples, or what perf said instead.
pub(super) fn record_of_itself() -> Result<u64, String> {
    let folder = tempfile::tempdir().map_err(|e| format!("no temporary folder: {e}"))?;
    let is_over = Arc::new(AtomicBool::new(false));
    let over = Arc::clone(&is_over);
    let worker = spawn(move || {
        let mut number = 1_u64;
        while !over.load(Ordering::Relaxed) {
            number = black_box(number.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1));
        }
    });
    let mut command = Command::new("perf");
    command.args(["record", "-e", "cpu-clock", "-F", "99", "-o"]);
    command.arg(folder.path().join("perf.data"));
    command.args(["-p", &std::process::id().to_string(), "--", "sleep", RECORD]);
    let ended = run(command);
    is_over.store(true, Ordering::Relaxed);
    // It has nothing that could fail.
    let _ = worker.join();
    match ended {
        Err(error) => Err(error.to_string()),
        Ok((true, said)) => samples(&said).ok_or_else(|| "it did not say how many samples".into()),
        Ok((false, said)) => Err(first_words(&said)),
    }
}

/// The number in `[ perf record: Captured and wrote 0.010 MB perf.data (20 samples) ]`. Where there
/// was none, perf leaves the brackets out.
fn samples(said: &str) -> Option<u64> {
    let wrote = said.lines().find(|line| line.contains("Captured and wrote"))?;
    let Some((_, rest)) = wrote.rsplit_once('(') else { return Some(0) };
    rest.trim_start_matches('~').split_whitespace().next()?.parse().ok()
}

fn first_words(said: &str) -> String {
    const MOST: usize = 120;
    let line = said.lines().map(str::trim).find(|line| !line.is_empty() && *line != "Error:");
    match line {
        Some(line) => line.chars().take(MOST).collect(),
        None => "it failed without a word".to_owned(),
    }
}

/// Runs `command` to its end: whether it went well, and what it said on both outputs.
fn run(mut command: Command) -> std::io::Result<(bool, String)> {
    let mut file = tempfile::tempfile()?;
    let (out, err) = (file.try_clone()?, file.try_clone()?);
    let mut child = command.stdin(Stdio::null()).stdout(out).stderr(err).spawn()?;
    let deadline = Instant::now() + ENDS_WITHIN;
    let status = loop {
        match child.try_wait()? {
            Some(status) => break status,
            None if Instant::now() >= deadline => {
                child.kill()?;
                child.wait()?;
                return Err(std::io::Error::other(DID_NOT_END));
            }
            None => sleep(POLL),
        }
    };
    let mut said = Vec::new();
    std::io::Seek::rewind(&mut file)?;
    file.read_to_end(&mut said)?;
    Ok((status.success(), String::from_utf8_lossy(&said).into_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_are_what_perf_says_it_wrote() {
        let wrote = |rest| {
            format!(
                "[ perf record: Woken up 1 times ]\n[ perf record: Captured and wrote 0.010 MB perf.data {rest}]\n"
            )
        };
        assert_eq!(samples(&wrote("(20 samples) ")), Some(20));
        assert_eq!(samples(&wrote("(~20 samples) ")), Some(20));
        assert_eq!(samples(&wrote("")), Some(0));
        assert_eq!(samples("permission denied"), None);
        assert_eq!(
            first_words("Error:\nNo permission to enable cpu-clock.\n"),
            "No permission to enable cpu-clock."
        );
    }
}
