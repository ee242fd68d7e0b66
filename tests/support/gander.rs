//! The real binary, run as a user runs it.

#![allow(dead_code, reason = "each test file uses a part of this")]

use std::fs::File;
use std::io::{Read as _, Seek as _};
use std::os::unix::process::ExitStatusExt as _;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread::sleep;
use std::time::{Duration, Instant};

use serde_json::Value;

/// A scenario file without think time, for tests that want many requests at once.
pub const BUSY: &str = r#"
summary = "One step after another."
[[step]]
name = "predict"
post = "/predict"
json = { text = "a good table" }
"#;

/// After this long a test fails instead of waiting on. Nothing is measured by it.
const PATIENCE: Duration = Duration::from_secs(60);
/// The same, for whole runs.
const RUN_WITHIN: Duration = Duration::from_secs(300);
/// Between two looks at what is waited for.
const POLL: Duration = Duration::from_millis(20);

/// Runs of load one after another: two at once would be each other's noise.
pub fn one_at_a_time() -> MutexGuard<'static, ()> {
    static LOAD: Mutex<()> = Mutex::new(());
    LOAD.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Looks until `condition` holds; says whether it came to that within `limit`.
pub fn comes_true(limit: Duration, mut condition: impl FnMut() -> bool) -> bool {
    let deadline = Instant::now() + limit;
    while !condition() {
        if Instant::now() >= deadline {
            return false;
        }
        sleep(POLL);
    }
    true
}

/// Makes a run up to three times, until its figures agree with the truth: whoever else uses the machine
/// may hold up service and generator in one run, and a figure that is wrong by itself is wrong in all.
pub fn agrees_in_one_of_three(mut run: impl FnMut() -> Result<(), String>) {
    let mut wrong = Vec::new();
    while let Err(why) = run() {
        wrong.push(why);
        assert!(wrong.len() < 3, "{wrong:#?}");
    }
}

/// A folder for the files of one test, with a folder of its own for the run folders.
pub struct Gander {
    folder: tempfile::TempDir,
}

impl Gander {
    pub fn new() -> Gander {
        let folder = tempfile::tempdir().expect("a temporary folder");
        std::fs::create_dir(folder.path().join("reports")).expect("a folder for run folders");
        Gander { folder }
    }

    /// A place for a file of this test.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn reports(&self) -> PathBuf {
        self.path("reports")
    }

    /// Writes a scenario file, and returns its path as a shell takes it.
    pub fn scenario(&self, text: &str) -> String {
        let path = self.path("scenario.toml");
        std::fs::write(&path, text).expect("a scenario file");
        shell_words::quote(path.to_str().expect("UTF-8")).into_owned()
    }

    /// `gander load ARGUMENTS`, written as for a shell, with the run folder in this test's own place.
    pub fn load(&self, arguments: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_gander"));
        command.arg("load").args(shell_words::split(arguments).expect("closed quotes"));
        command.arg("--reports").arg(self.reports()).stdin(Stdio::null());
        command
    }

    /// `gander load ARGUMENTS --format json`, started.
    pub fn start(&self, arguments: &str) -> Started {
        let mut command = self.load(arguments);
        command.args(["--format", "json"]);
        Started::new(command)
    }

    /// `gander load ARGUMENTS --format json`, to its end.
    pub fn run(&self, arguments: &str) -> Finished {
        self.start(arguments).ended_within(RUN_WITHIN)
    }

    /// The one run folder that there is.
    pub fn run_folder(&self) -> PathBuf {
        let mut folders = self.run_folders();
        assert_eq!(folders.len(), 1, "one run folder: {folders:?}");
        folders.remove(0)
    }

    pub fn run_folders(&self) -> Vec<PathBuf> {
        let entries = std::fs::read_dir(self.reports()).expect("the folder of this test");
        entries.map(|entry| entry.expect("an entry").path()).collect()
    }

    /// Intervals that the journal of the one run holds so far; none before there is a run.
    pub fn intervals(&self) -> usize {
        let Some(folder) = self.run_folders().pop() else { return 0 };
        let text = std::fs::read_to_string(folder.join("journal.log")).unwrap_or_default();
        text.lines().filter(|line| line.contains("\"entry\":\"interval\"")).count()
    }

    /// `gander report` on that folder.
    pub fn report(&self) -> Finished {
        let mut command = Command::new(env!("CARGO_BIN_EXE_gander"));
        command.arg("report").arg(self.run_folder()).args(["--format", "json"]);
        finished(command)
    }
}

/// A command that runs. It is gone when this is dropped.
pub struct Started {
    child: Child,
    stdout: File,
    stderr: File,
}

impl Started {
    /// Starts `command`. Its output goes to files: it never waits for a reader.
    pub fn new(mut command: Command) -> Started {
        let [stdout, stderr] = [0; 2].map(|_| tempfile::tempfile().expect("a temporary file"));
        let same = |file: &File| file.try_clone().expect("a second handle");
        let child = command.stdout(same(&stdout)).stderr(same(&stderr)).spawn();
        Started { child: child.expect("the command starts"), stdout, stderr }
    }

    /// Waits until `condition` holds; fails if the command has ended before.
    pub fn until(&mut self, what: &str, mut condition: impl FnMut() -> bool) {
        let mut ended = None;
        let met = comes_true(PATIENCE, || {
            ended = self.child.try_wait().expect("a child of ours");
            condition() || ended.is_some()
        });
        assert!(met, "not within {PATIENCE:?}: {what}");
        if let Some(status) = ended {
            panic!("gander has ended ({status}) before: {what}\n{}", read(&mut self.stderr));
        }
    }

    /// Its process.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Sends `signal` (`INT`, `TERM`, `KILL`).
    pub fn signal(&self, signal: &str) {
        let kill = Command::new("kill").args(["-s", signal, &self.child.id().to_string()]).status();
        assert!(kill.expect("kill runs").success());
    }

    /// Waits for the end, which must come within `limit`.
    pub fn ended_within(mut self, limit: Duration) -> Finished {
        let mut status = None;
        let met = comes_true(limit, || {
            status = self.child.try_wait().expect("a child of ours");
            status.is_some()
        });
        let (stdout, stderr) = (read(&mut self.stdout), read(&mut self.stderr));
        assert!(met, "not ended within {limit:?}\n{stderr}");
        Finished { code: code(status.expect("it has ended")), stdout, stderr }
    }
}

impl Drop for Started {
    fn drop(&mut self) {
        // Where it has ended, there is nothing to kill.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The exit code as a shell says it: that of a process which a signal ended is 128 and the signal.
fn code(status: ExitStatus) -> i32 {
    status.code().or_else(|| Some(128 + status.signal()?)).expect("an exit code or a signal")
}

fn read(file: &mut File) -> String {
    let mut text = String::new();
    file.rewind().expect("a file");
    file.read_to_string(&mut text).expect("UTF-8");
    text
}

/// A command that has ended.
pub struct Finished {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Finished {
    /// Standard output as the JSON summary; nothing else may be there.
    pub fn summary(&self) -> Value {
        let text = &self.stdout;
        serde_json::from_str(text).unwrap_or_else(|e| panic!("{e} in {text}\n{}", self.stderr))
    }

    /// What speaks against the figures.
    pub fn reasons(&self) -> Vec<String> {
        let summary = self.summary();
        let reasons = summary["validity"]["reasons"].as_array().expect("a list").clone();
        reasons.iter().map(|reason| reason.as_str().expect("a text").to_owned()).collect()
    }

    /// Nothing speaks against the figures, but perhaps that other tests left gander too little of
    /// the machine: then it was late, or busy.
    pub fn assert_valid_or_crowded(&self) {
        let reasons = self.reasons();
        let crowded = reasons.iter().all(|reason| reason.starts_with("the generator was "));
        assert!(crowded, "{reasons:?}\n{}", self.stderr);
    }

    /// The same, of a run that should have passed.
    pub fn assert_passed_or_crowded(&self) {
        self.assert_valid_or_crowded();
        let expected = if self.reasons().is_empty() { 0 } else { 4 };
        assert_eq!(self.code, expected, "{}\n{}", self.stdout, self.stderr);
    }
}

/// Runs a command to its end.
pub fn finished(command: Command) -> Finished {
    Started::new(command).ended_within(RUN_WITHIN)
}
