//! Samplers that are missing, refused or interrupted: the run goes on, its report says so in a line, and
//! nothing stays behind.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "tests panic to fail, and say what they skip or measured"
)]

#[path = "support/gander.rs"]
mod gander;
#[path = "support/peers.rs"]
#[allow(dead_code, reason = "its servers are for other tests")]
mod peers;

use std::collections::BTreeSet;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use ::gander::measure::resource::Observed;
use ::gander::profile::{Missing, SamplerKind};
use ::gander::store::profiles::read;
use gander::{BUSY, Gander, Started, comes_true, finished, one_at_a_time};
use procfs::process::{Process, all_processes};

/// What perf 6.1 says of a process that it may not sample; it ends with 255.
const PERF_SAYS: &str = "Error:
Access to performance monitoring and observability operations is limited.
Consider adjusting /proc/sys/kernel/perf_event_paranoid setting to open
access to performance monitoring and observability operations for processes
without CAP_PERFMON, CAP_SYS_PTRACE or CAP_SYS_ADMIN Linux capability.
perf_event_paranoid setting is 4:
  -1: Allow use of (almost) all events by all users";
/// What py-spy 0.4.3 says of a tree of processes that it may not look into, and of one; it ends with 1.
const PY_SPY_SAYS: [&str; 2] = [
    "Error: No python processes found in process 4711 or any of its subprocesses",
    "Permission Denied: Try running again with elevated permissions by going 'sudo env \"PATH=$PATH\" !!'",
];

#[test]
fn a_sampler_that_is_missing_is_said_and_the_run_goes_on() {
    let _alone = one_at_a_time();
    for name in ["py-spy", "perf"] {
        let gander = Gander::new();
        let scenario = gander.scenario(&format!("service = \"inference\"\n{BUSY}"));
        let mut command =
            gander.load(&format!("{scenario} --duration 1s --format json --sampler {name}"));
        command.env("PATH", "/nowhere");
        let run = finished(command);
        run.assert_passed_or_crowded();
        let profiles = read(&gander.run_folder()).unwrap();
        let missing = &profiles.missing[..];
        assert_eq!(missing.len(), 1, "{missing:?}");
        assert_eq!(missing[0].why, format!("{name} is not installed"));
        assert!(missing[0].mend.as_ref().unwrap().contains("install"));
        assert!(profiles.taken.iter().all(|(record, _)| record.name == "generator-cpu"));
    }
}

/// A program in `folder` that does what `script` says.
fn stand_in(folder: &Path, name: &str, script: &str) {
    let file = folder.join(name);
    fs::write(&file, format!("#!/bin/sh\n{script}")).unwrap();
    fs::set_permissions(&file, Permissions::from_mode(0o755)).unwrap();
}

/// Has `command` find programs in `folder` first.
fn finding_in(mut command: Command, folder: &Path) -> Command {
    let old = std::env::var_os("PATH").unwrap_or_default();
    let all = std::iter::once(folder.to_path_buf()).chain(std::env::split_paths(&old));
    command.env("PATH", std::env::join_paths(all).unwrap());
    command
}

/// Runs `command`, whose sampler is refused; what is said of it. The run itself is whole, and its report
/// says it in one line.
fn refused(gander: &Gander, command: Command) -> Missing {
    let run = finished(command);
    run.assert_passed_or_crowded();
    let profiles = read(&gander.run_folder()).unwrap();
    let [missing] = &profiles.missing[..] else { panic!("one: {profiles:?}\n{}", run.stderr) };
    assert!(profiles.taken.iter().all(|(record, _)| record.who == Observed::Generator));
    let report = fs::read_to_string(gander.run_folder().join("report.md")).unwrap();
    let lines: Vec<_> = report.lines().filter(|line| line.starts_with("**Missing**")).collect();
    assert_eq!(lines.len(), 1, "{report}");
    assert!(lines[0].contains("To mend it: "), "{lines:?}");
    eprintln!("{}", lines[0]);
    missing.clone()
}

#[test]
fn perf_that_is_refused_is_said_with_what_to_allow() {
    let _alone = one_at_a_time();
    let gander = Gander::new();
    let script = format!("cat >&2 <<'END'\n{PERF_SAYS}\nEND\nexit 255\n");
    stand_in(&gander.path("."), "perf", &script);
    let scenario = gander.scenario(&format!("service = \"inference\"\n{BUSY}"));
    let words = format!("{scenario} --duration 5s --format json --sampler perf");
    let missing = refused(&gander, finding_in(gander.load(&words), &gander.path(".")));
    assert_eq!(missing.sampler, Some(SamplerKind::Perf));
    assert!(missing.why.ends_with("observability operations is limited"), "{}", missing.why);
    let mend = missing.mend.unwrap();
    assert!(mend.contains("kernel.perf_event_paranoid=1") && mend.contains("PERFMON"), "{mend}");
}

/// A service that says yes to everything, in this process.
fn says_yes() -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            std::thread::spawn(move || {
                let mut request = [0; 4096];
                // A request is small, and comes whole.
                while std::io::Read::read(&mut stream, &mut request).is_ok_and(|read| read > 0) {
                    let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
                    if std::io::Write::write_all(&mut stream, answer).is_err() {
                        return;
                    }
                }
            });
        }
    });
    url
}

#[test]
fn what_says_yes_to_everything_shows_no_profile_and_is_left_to_perf() {
    let _alone = one_at_a_time();
    let gander = Gander::new();
    let script = format!("cat >&2 <<'END'\n{PERF_SAYS}\nEND\nexit 255\n");
    stand_in(&gander.path("."), "perf", &script);
    let scenario = gander.scenario(BUSY);
    let words = format!(
        "{scenario} --duration 5s --format json --profile --target {} --pid {}",
        says_yes(),
        std::process::id()
    );
    let run = finished(finding_in(gander.load(&words), &gander.path(".")));
    run.assert_passed_or_crowded();
    let profiles = read(&gander.run_folder()).unwrap();
    let [http, perf] = &profiles.missing[..] else { panic!("two: {profiles:?}\n{}", run.stderr) };
    assert_eq!((http.sampler, perf.sampler), (Some(SamplerKind::Http), Some(SamplerKind::Perf)));
    assert!(http.why.contains("no profile") && !http.why.ends_with('?'), "{}", http.why);
    assert!(perf.why.ends_with("observability operations is limited"), "{}", perf.why);
}

#[test]
fn py_spy_that_is_refused_is_said_with_what_to_allow() {
    let Some(python) = peers::program("python3") else { return };
    let _alone = one_at_a_time();
    let gander = Gander::new();
    let [tree, one] = PY_SPY_SAYS;
    let script = format!(
        "case $1 in record) said='record'; esac\n\
         if [ \"$said\" ]; then cat >&2 <<'END'\n{tree}\nEND\n\
         else cat >&2 <<'END'\n{one}\nEND\nfi\nexit 1\n"
    );
    stand_in(&gander.path("."), "py-spy", &script);
    let spawn = format!("{} {} {{port}}", python.display(), service("split.py"));
    let scenario = gander.scenario(BUSY);
    let words = format!(
        "{scenario} --duration 5s --format json --profile --spawn {}",
        shell_words::quote(&spawn)
    );
    let missing = refused(&gander, finding_in(gander.load(&words), &gander.path(".")));
    assert_eq!(missing.sampler, Some(SamplerKind::PySpy));
    assert!(missing.why.contains("it said: Permission Denied: "), "{}", missing.why);
    assert!(missing.mend.unwrap().contains("SYS_PTRACE"));
}

/// The real programs, and a target that is another user's: needs root, to become nobody.
#[test]
fn real_samplers_that_may_not_look_into_another_users_process_say_so() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("SKIPPED: only root can become another user");
        return;
    }
    let (Some(py_spy), Some(python)) = (peers::program("py-spy"), peers::program("python3")) else {
        return;
    };
    let (Some(_perf), Some(setpriv)) = (peers::program("perf"), peers::program("setpriv")) else {
        return;
    };
    let _alone = one_at_a_time();
    for name in ["py-spy", "perf"] {
        let gander = Gander::new();
        let scenario = gander.scenario(BUSY);
        // Nobody may not reach where these are.
        fs::copy(&py_spy, gander.path("py-spy")).unwrap();
        fs::copy(env!("CARGO_BIN_EXE_gander"), gander.path("gander")).unwrap();
        fs::set_permissions(gander.path("."), Permissions::from_mode(0o755)).unwrap();
        fs::set_permissions(gander.reports(), Permissions::from_mode(0o777)).unwrap();
        let port = free_port();
        let mut target = Command::new(&python)
            .args([&service("split.py"), &port.to_string()])
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        let listens = || std::net::TcpStream::connect(("127.0.0.1", port)).is_ok();
        assert!(comes_true(Duration::from_secs(60), listens));
        let mut command = Command::new(&setpriv);
        command.args(["--reuid=65534", "--regid=65534", "--clear-groups"]);
        command.arg(gander.path("gander")).arg("load");
        let words = format!(
            "{scenario} --duration 8s --format json --sampler {name} --pid {} \
             --target http://127.0.0.1:{port}",
            target.id()
        );
        command.args(shell_words::split(&words).unwrap()).arg("--reports").arg(gander.reports());
        command.current_dir(gander.path(".")).stdin(Stdio::null());
        let missing = refused(&gander, finding_in(command, &gander.path(".")));
        target.kill().unwrap();
        target.wait().unwrap();
        let mend = missing.mend.unwrap();
        assert!(mend.contains("the target is another user's, 0"), "{mend}");
    }
}

/// Processes that descend from `root`, and when each was started.
fn descendants(root: u32) -> BTreeSet<(i32, u64)> {
    let stats = all_processes().unwrap().filter_map(|process| process.ok()?.stat().ok());
    let stats: Vec<_> = stats.collect();
    let mut found = BTreeSet::from([root.cast_signed()]);
    loop {
        let children = stats.iter().filter(|stat| found.contains(&stat.ppid)).map(|stat| stat.pid);
        let all: BTreeSet<i32> = found.iter().copied().chain(children).collect();
        if all == found {
            let below = stats.iter().filter(|stat| found.contains(&stat.ppid));
            return below.map(|stat| (stat.pid, stat.starttime)).collect();
        }
        found = all;
    }
}

fn is_there((pid, started): (i32, u64)) -> bool {
    let stat = Process::new(pid).and_then(|process| process.stat());
    stat.is_ok_and(|stat| stat.starttime == started && stat.state != 'Z')
}

/// Every file of a run folder is whole: text that is to be parsed can be.
fn assert_whole(folder: &Path) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            assert_whole(&path);
            continue;
        }
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        let bytes = fs::read(&path).unwrap();
        let text = String::from_utf8_lossy(&bytes);
        match name.rsplit('.').next().unwrap() {
            "json" => {
                let value: Result<serde_json::Value, _> = serde_json::from_str(&text);
                assert!(value.is_ok(), "{name}: {value:?}");
            }
            ending @ ("svg" | "html") => {
                assert!(text.trim_end().ends_with(&format!("</{ending}>")), "{name}");
            }
            "gz" => drop(::gander::profile::pprof::decode(&bytes).unwrap()),
            "md" | "log" | "hlog" | "jsonl" | "folded" => {}
            _ => panic!("{name} is no file of a run folder"),
        }
    }
}

/// Has the reference service compute, so that there is something to sample.
const COMPUTES: &str = "--service latency=0s --service work.tokenize=5ms";

/// Interrupts a run that is sampled by `kind`, once it has gone on for so many intervals, in each way.
fn interrupted(kind: SamplerKind, arguments: &str, programs: Option<&Path>) {
    let _alone = one_at_a_time();
    for (signal, code, after) in [("INT", 130, 4), ("TERM", 143, 1), ("INT", 130, 0)] {
        let gander = Gander::new();
        let scenario = gander.scenario(&format!("service = \"inference\"\n{BUSY}"));
        let words = format!(
            "{scenario} --users 2 --duration 1h --format json --sampler {} {arguments}",
            kind.name()
        );
        let mut command = gander.load(&words);
        if let Some(folder) = programs {
            command = finding_in(command, folder);
        }
        let mut run = Started::new(command);
        let is_at_work = || !gander.run_folders().is_empty() && gander.intervals() >= after;
        run.until("sampling", is_at_work);
        let children = descendants(run.id());
        assert!(!children.is_empty(), "a target at least");
        run.signal(signal);
        // The target may take its time to leave; a slice of a profile is not waited for.
        let run = run.ended_within(Duration::from_secs(60));
        assert_eq!(run.code, code, "{}", run.stderr);
        let left: Vec<_> = children.into_iter().filter(|child| is_there(*child)).collect();
        assert!(left.is_empty(), "{left:?} are still there");
        let folder = gander.run_folder();
        assert_whole(&folder);
        let stop = &run.summary()["stop"];
        assert!(stop == "interrupted" || stop == "terminated", "{stop}");
        let profiles = read(&folder).unwrap();
        let taken = profiles.taken.iter().find(|(record, _)| record.who == Observed::Target);
        let missing = profiles.missing.iter().find(|missing| missing.who == Observed::Target);
        eprintln!("{} {signal} after {after}: {:?} {missing:?}", kind.name(), taken.map(|t| &t.0));
        match (taken, missing) {
            (Some((record, folded)), None) => {
                assert_eq!(record.sampler, kind);
                assert!(record.notes.iter().all(|note| !note.contains("broke off")), "{record:?}");
                assert!(after < 4 || folded.total() > 0, "what was sampled so far is kept");
            }
            (None, Some(missing)) => {
                assert!(missing.why.starts_with("not sampled: the run was over"), "{missing:?}");
                assert!(after < 4, "{missing:?}");
            }
            other => panic!("either a profile or why there is none: {other:?}"),
        }
    }
}

#[test]
fn a_run_that_is_interrupted_keeps_what_the_target_answered() {
    interrupted(SamplerKind::Http, COMPUTES, None);
}

#[test]
fn a_run_that_is_interrupted_keeps_what_perf_sampled() {
    if let Some(perf) = peers::program("perf") {
        interrupted(SamplerKind::Perf, COMPUTES, perf.parent());
    }
}

#[test]
fn a_run_that_is_interrupted_keeps_what_py_spy_sampled() {
    let (Some(py_spy), Some(python)) = (peers::program("py-spy"), peers::program("python3")) else {
        return;
    };
    let spawn = format!("{} {} {{port}}", python.display(), service("split.py"));
    let arguments = format!("--spawn {}", shell_words::quote(&spawn));
    interrupted(SamplerKind::PySpy, &arguments, py_spy.parent());
}

/// A port that nobody listens at.
fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
    listener.local_addr().unwrap().port()
}

/// The service with a known split in `file`.
fn service(file: &str) -> String {
    format!("{}/tests/peers/split_service/{file}", env!("CARGO_MANIFEST_DIR"))
}
