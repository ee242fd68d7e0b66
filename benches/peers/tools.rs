//! The generators, each run in the same way: 50 connections, one thread, some seconds.

use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

const SECONDS: u64 = 8;
const CONNECTIONS: u64 = 50;

/// A generator.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tool {
    Gander,
    Wrk,
    Oha,
}

/// What a request cost.
#[derive(Debug, Clone, Copy, Default)]
pub struct Cost {
    /// CPU time of the generator a request, in microseconds.
    pub us: f64,
    /// Requests per second.
    pub rps: f64,
}

impl Tool {
    pub const PEERS: [Tool; 2] = [Tool::Wrk, Tool::Oha];

    pub fn name(self) -> &'static str {
        match self {
            Tool::Gander => "gander",
            Tool::Wrk => "wrk",
            Tool::Oha => "oha",
        }
    }

    pub fn is_there(self) -> bool {
        self == Tool::Gander || Command::new(self.name()).arg("--version").output().is_ok()
    }

    /// Loads the server on `port`.
    pub fn run(self, port: u16) -> Cost {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let (url, body) = (format!("http://127.0.0.1:{port}/predict"), body());
        let mut command = match self {
            Tool::Gander => gander(folder.path(), port, "0s", CONNECTIONS, SECONDS),
            Tool::Wrk => {
                let script = folder.path().join("post.lua");
                let text = format!(
                    "wrk.method = 'POST'\nwrk.body = '{body}'\nwrk.headers['Content-Type'] = 'application/json'\n"
                );
                std::fs::write(&script, text).expect("a script");
                let mut command = Command::new("wrk");
                command.args([
                    "-t1",
                    &format!("-c{CONNECTIONS}"),
                    &format!("-d{SECONDS}s"),
                    "--latency",
                    "-s",
                ]);
                command.arg(script).arg(url);
                command
            }
            Tool::Oha => {
                let mut command = Command::new("oha");
                command.args([
                    "--no-tui",
                    "--output-format",
                    "json",
                    "-m",
                    "POST",
                    "-T",
                    "application/json",
                ]);
                command.args([
                    "-c",
                    &CONNECTIONS.to_string(),
                    "-z",
                    &format!("{SECONDS}s"),
                    "-d",
                    &body,
                ]);
                command.arg(url);
                command
            }
        };
        let before = cpu_of_ended_children();
        let output = pinned(&mut command, 0).output().expect("the generator runs");
        let cpu = cpu_of_ended_children() - before;
        let requests = self.requests(&output);
        Cost { us: cpu * 1e6 / requests, rps: requests / SECONDS as f64 }
    }

    fn requests(self, output: &Output) -> f64 {
        let text = String::from_utf8_lossy(&output.stdout);
        let found = match self {
            Tool::Gander => {
                let summary = json(&text);
                assert_eq!(summary["total"]["failed"], 0, "{}", summary["errors"]);
                summary["ledger"]["sent"].as_f64()
            }
            Tool::Oha => json(&text)["statusCodeDistribution"]["200"].as_f64(),
            Tool::Wrk => text
                .lines()
                .inspect(|line| assert!(!line.contains("Socket errors"), "{line}"))
                .find_map(|line| line.trim().split_once(" requests in "))
                .and_then(|(count, _)| count.parse().ok()),
        };
        found.unwrap_or_else(|| {
            panic!(
                "{} says no count: {text}{}",
                self.name(),
                String::from_utf8_lossy(&output.stderr)
            )
        })
    }
}

/// A body of 200 bytes.
fn body() -> String {
    let start = "{\"text\":\"";
    format!("{start}{}\"}}", "a".repeat(200 - start.len() - 2))
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or(Value::Null)
}

fn gander(folder: &Path, port: u16, think: &str, users: u64, seconds: u64) -> Command {
    let scenario = folder.join("bench.toml");
    let text = format!(
        "summary = \"A constant request.\"\nthink = \"{think}\"\n[[step]]\nname = \"predict\"\npost = \"/predict\"\nbody = '{}'\n\
         headers = {{ content-type = \"application/json\" }}\n",
        body()
    );
    std::fs::write(&scenario, text).expect("a scenario");
    let mut command = Command::new(env!("CARGO_BIN_EXE_gander"));
    command.arg("load").arg(scenario).args(["--format", "json", "--quiet"]);
    command.args(["--users", &users.to_string(), "--duration", &format!("{seconds}s")]);
    command.args(["--target", &format!("http://127.0.0.1:{port}")]);
    command.arg("--reports").arg(folder);
    command
}

/// What ten thousand users cost.
pub struct Crowd {
    pub users: u32,
    pub peak_mb: f64,
    pub start_cpu_s: f64,
    pub requests: u64,
    pub failed: u64,
}

/// Holds `users` users on the server at `port`, each with a request every few seconds.
pub fn crowd(port: u16, users: u64) -> Crowd {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let output = pinned(&mut gander(folder.path(), port, "4s..8s", users, 20), 0)
        .output()
        .expect("gander runs");
    let summary = json(&String::from_utf8_lossy(&output.stdout));
    let run_folder = summary["run_folder"]
        .as_str()
        .unwrap_or_else(|| panic!("no run folder: {}", String::from_utf8_lossy(&output.stderr)));
    let run = gander::store::journal::read(Path::new(run_folder)).expect("a readable run");
    let most = run.intervals.iter().map(|second| second.users).max().unwrap_or(0);
    let all_at = run.intervals.iter().find(|second| second.users == most).map(|second| second.end);
    let who = gander::measure::resource::Observed::Generator;
    let cpu = run
        .resources_of(who)
        .find(|look| Some(look.at) >= all_at)
        .and_then(|look| look.cpu_seconds);
    let peak = run.resources_of(who).filter_map(|look| look.rss_bytes).max();
    Crowd {
        users: most,
        peak_mb: peak.unwrap_or(u64::MAX) as f64 / 1e6,
        start_cpu_s: cpu.unwrap_or(f64::INFINITY),
        requests: summary["total"]["count"].as_u64().unwrap_or(0),
        failed: summary["total"]["failed"].as_u64().unwrap_or(u64::MAX),
    }
}

/// The same command on one core, where there are several and they can be chosen.
pub fn pinned(command: &mut Command, core: usize) -> Command {
    let several = std::thread::available_parallelism().is_ok_and(|cores| cores.get() > core);
    let mut wrapped = if several && Command::new("taskset").arg("--version").output().is_ok() {
        let mut wrapped = Command::new("taskset");
        wrapped.args(["-c", &core.to_string()]).arg(command.get_program());
        wrapped
    } else {
        Command::new(command.get_program())
    };
    wrapped.args(command.get_args());
    wrapped
}

/// CPU seconds of all child processes that have ended.
fn cpu_of_ended_children() -> f64 {
    let stat =
        procfs::process::Process::myself().and_then(|process| process.stat()).expect("/proc");
    let ticks = stat.cutime + stat.cstime;
    ticks as f64 / procfs::ticks_per_second() as f64
}
