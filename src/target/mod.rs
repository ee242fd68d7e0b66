//! Targets that gander starts by itself: the reference services and `--spawn`ed commands.

pub mod control;
pub mod helper;
pub mod supervisor;

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Read};
use std::net::{IpAddr, TcpListener};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use mock_server::cli::{SETTINGS, settings_variable};
use rustix::io::Errno;
use rustix::process::{Pid, test_kill_process};
use url::Url;

use crate::error::{Error, Exit};
use crate::observe::listener::listener;
use crate::plan::{Spawn, Target, TargetRecord};
use crate::scenario::model::Service;

/// How long a reference service may take to listen.
const REFERENCE_WITHIN: Duration = Duration::from_secs(10);
/// How long a process of ours may take to leave: longer than what itself allows its command, or the
/// requests of a reference service and then those of the one that it calls.
const LEAVE_WITHIN: Duration = supervisor::LEAVE_WITHIN.saturating_mul(3);
/// Between two looks at a target that is not ready yet.
const POLL: Duration = Duration::from_millis(25);
/// Lines of the target's output that are kept for an error message.
const KEPT_LINES: usize = 20;

/// A target that is there.
#[derive(Debug)]
pub struct Launched {
    /// Base URL.
    pub url: Url,
    /// Base URL of the service that a reference service calls, where gander started that too.
    pub behind: Option<Url>,
    /// What is saved of it.
    pub record: TargetRecord,
    process: Option<Arc<OwnedProcess>>,
}

/// Looks whether a target is still there, for as long as it lives.
#[derive(Debug)]
pub struct Watch {
    over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // A watch that failed has nothing to say.
            let _ = thread.join();
        }
    }
}

impl Launched {
    /// Starts the target if it is ours to start, and waits until it is ready.
    pub fn start(target: &Target, is_interrupted: &dyn Fn() -> bool) -> Result<Launched, Error> {
        match target {
            Target::Running { pid: Some(pid), .. } if !is_there(*pid) => {
                Err(Error::BadInput(format!(
                    "--pid {pid}: there is no such process; name the one that the service runs in now, \
                     or leave --pid out to have it found by its port"
                )))
            }
            Target::Running { url, pid } => Ok(Launched {
                url: url.clone(),
                behind: None,
                record: TargetRecord {
                    url: url.to_string(),
                    origin: "running already".to_owned(),
                    pid: pid.or_else(|| owner(url)),
                },
                process: None,
            }),
            Target::Reference(service) => reference(service),
            Target::Spawn(spawn) => spawned(spawn, is_interrupted),
        }
    }

    /// Whether a target that gander started is gone; of others nothing is known.
    pub fn has_ended(&self) -> bool {
        self.process.as_ref().is_some_and(|process| process.ended().is_some())
    }

    /// Stops what [`Launched::start`] started.
    pub fn stop(self) {
        drop(self.process);
    }

    /// Calls `on_end` with what the target said last, on one line, should one that gander started end.
    pub fn watch(&self, on_end: impl FnOnce(String) + Send + 'static) -> Watch {
        let over = Arc::new(AtomicBool::new(false));
        let (process, is_over) = (self.process.clone(), Arc::clone(&over));
        let thread = process.map(|process| {
            std::thread::spawn(move || {
                while !is_over.load(Ordering::Relaxed) {
                    if let Some(said) = process.ended() {
                        return on_end(on_one_line(&said));
                    }
                    std::thread::sleep(POLL);
                }
            })
        });
        Watch { over, thread }
    }
}

/// What an error message shows on several lines, for a report, in which it stands in a sentence.
fn on_one_line(said: &str) -> String {
    let mut lines = said.lines().map(str::trim).filter(|line| !line.is_empty());
    let heading = lines.next().unwrap_or_default();
    let rest: Vec<&str> = lines.collect();
    // The heading begins with what joins it to what stands before.
    [heading, &rest.join(" / ")].join(" ").trim_end().to_owned()
}

/// Whether there is a process of this number.
fn is_there(pid: u32) -> bool {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw);
    // One that may not be signalled is there.
    pid.is_some_and(|pid| !matches!(test_kill_process(pid), Err(Errno::SRCH)))
}

/// The process that listens at `url`, where it is on this machine.
fn owner(url: &Url) -> Option<u32> {
    let is_local = match url.host()? {
        url::Host::Domain(name) => name == "localhost",
        url::Host::Ipv4(address) => IpAddr::from(address).is_loopback(),
        url::Host::Ipv6(address) => IpAddr::from(address).is_loopback(),
    };
    is_local.then(|| listener(&url.socket_addrs(|| None).ok()?))?
}

fn reference(service: &Service) -> Result<Launched, Error> {
    let arguments = ["mock", &service.name, "--port", "0", "--until-stdin-closes"];
    let options = service.options.iter().map(|(name, value)| format!("{name}={value}"));
    let settings = settings_variable(&options.collect::<Vec<_>>());
    let what = format!("reference service {}", service.name);
    let (process, lines) =
        OwnedProcess::start(&arguments.map(str::to_owned), &[(SETTINGS, settings)])?;
    let announced = process.wait_for_line(&lines, &what, LISTENS)?;
    let url = address(&announced).ok_or_else(|| {
        Error::CannotRun(format!("{what} announced no address, but said: {announced}"))
    })?;
    // All services are announced first, the one that was asked for before any behind it.
    let next = process.wait_for_line(&lines, &what, "")?;
    let behind = next.contains(LISTENS).then(|| address(&next)).flatten();
    let origin = format!("reference service {service}, started by gander");
    let pid = Some(process.child().id());
    let record = TargetRecord { url: url.to_string(), origin, pid };
    Ok(Launched { url, behind, record, process: Some(Arc::new(process)) })
}

/// What a reference service says once it can be reached, and then where.
const LISTENS: &str = " listening on ";

fn address(announced: &str) -> Option<Url> {
    Url::parse(announced.rsplit(' ').next()?).ok()
}

fn spawned(spawn: &Spawn, is_interrupted: &dyn Fn() -> bool) -> Result<Launched, Error> {
    let port = free_port()?;
    let what = spawn.command.join(" ");
    let mut arguments =
        ["supervise".to_owned(), "--port".to_owned(), port.to_string(), "--".to_owned()].to_vec();
    arguments.extend(spawn.command.iter().map(|word| word.replace("{port}", &port.to_string())));
    let (process, lines) = OwnedProcess::start(&arguments, &[])?;
    let announced = process.wait_for_line(&lines, &what, supervisor::ANNOUNCES)?;
    // What the command prints without a line feed may stand before it.
    let pid = announced.rsplit(supervisor::ANNOUNCES).next().and_then(|pid| pid.parse().ok());
    let url = Url::parse(&format!("http://127.0.0.1:{port}/"))
        .map_err(|e| Error::CannotRun(format!("no URL for port {port}: {e}")))?;
    wait_until_ready(&process, &url, spawn, is_interrupted)?;
    let record =
        TargetRecord { url: url.to_string(), origin: format!("started by gander: {what}"), pid };
    Ok(Launched { url, behind: None, record, process: Some(Arc::new(process)) })
}

fn free_port() -> Result<u16, Error> {
    let bound = TcpListener::bind(("127.0.0.1", 0)).and_then(|listener| listener.local_addr());
    bound.map(|address| address.port()).map_err(|e| Error::CannotRun(format!("no free port: {e}")))
}

fn wait_until_ready(
    process: &OwnedProcess,
    url: &Url,
    spawn: &Spawn,
    is_interrupted: &dyn Fn() -> bool,
) -> Result<(), Error> {
    let ready = url
        .join(&spawn.ready)
        .map_err(|e| Error::BadInput(format!("--ready {:?} is not a path: {e}", spawn.ready)))?;
    let client = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(2)).build();
    let client = client.map_err(|e| Error::CannotRun(format!("no HTTP client: {e}")))?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|e| Error::CannotRun(format!("no runtime: {e}")))?;
    let deadline = Instant::now() + spawn.ready_within;
    loop {
        if let Some(said) = process.ended() {
            return Err(Error::CannotRun(format!(
                "the command ended before it was ready: {}{said}",
                spawn.command.join(" ")
            )));
        }
        let answer = runtime.block_on(async { client.get(ready.clone()).send().await });
        let seen = match answer {
            Ok(response) if response.status().is_success() => return Ok(()),
            Ok(response) => format!("the last answer was {}", response.status()),
            Err(_) => "nothing answered".to_owned(),
        };
        if is_interrupted() {
            return Err(Error::CannotRun("interrupted before the target was ready".to_owned()));
        }
        if Instant::now() >= deadline {
            return Err(Error::CannotRun(format!(
                "{ready} was not ready within {} s: {seen}; --ready names the path to ask, \
                 --ready-within how long to wait; the command learns port {} through {{port}} and \
                 the environment variable PORT{}",
                spawn.ready_within.as_secs(),
                url.port().unwrap_or_default(),
                process.said()
            )));
        }
        std::thread::sleep(POLL);
    }
}

/// A process of gander's own program: a reference service, or the supervisor of a command.
#[derive(Debug)]
struct OwnedProcess {
    child: Mutex<Child>,
    kept: Arc<Mutex<VecDeque<String>>>,
}

impl OwnedProcess {
    /// Starts gander's own program with `arguments`, in a process group of its own, so that Ctrl-C at
    /// the terminal reaches only the gander that the user started, and the target is there until the
    /// last response. Its lines arrive at the receiver for as long as that is kept.
    fn start(
        arguments: &[String],
        environment: &[(&str, String)],
    ) -> Result<(Self, Receiver<String>), Error> {
        let this = std::env::current_exe()
            .map_err(|e| Error::CannotRun(format!("cannot find gander's own program: {e}")))?;
        // A long study may outlive the file: whoever replaces it must not end what runs.
        let this = if this.exists() { this } else { PathBuf::from("/proc/self/exe") };
        let mut child = Command::new(this)
            .args(arguments)
            .envs(environment.iter().map(|(name, value)| (*name, value)))
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|e| Error::CannotRun(format!("cannot start gander's own program: {e}")))?;
        let kept = Arc::new(Mutex::new(VecDeque::new()));
        let (sender, lines) = channel();
        for output in [
            child.stdout.take().map(|output| Box::new(output) as Box<dyn Read + Send>),
            child.stderr.take().map(|output| Box::new(output) as Box<dyn Read + Send>),
        ]
        .into_iter()
        .flatten()
        {
            let (kept, sender) = (Arc::clone(&kept), sender.clone());
            std::thread::spawn(move || keep_lines(output, &kept, &sender));
        }
        Ok((OwnedProcess { child: Mutex::new(child), kept }, lines))
    }

    fn child(&self) -> MutexGuard<'_, Child> {
        self.child.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait_for_line(
        &self,
        lines: &Receiver<String>,
        what: &str,
        wanted: &str,
    ) -> Result<String, Error> {
        let deadline = Instant::now() + REFERENCE_WITHIN;
        loop {
            match lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(line) if line.contains(wanted) => return Ok(line),
                Ok(_) => {}
                Err(RecvTimeoutError::Disconnected) => {
                    let status = self.child().wait();
                    let why = format!("{what} did not start{}", self.said());
                    let refused = status.is_ok_and(|s| s.code() == Some(Exit::BadInput as i32));
                    return Err(if refused { Error::BadInput(why) } else { Error::CannotRun(why) });
                }
                Err(RecvTimeoutError::Timeout) => {
                    return Err(Error::CannotRun(format!(
                        "{what} did not start within {} s{}",
                        REFERENCE_WITHIN.as_secs(),
                        self.said()
                    )));
                }
            }
        }
    }

    /// The last lines of the output, to be put behind an error message.
    fn said(&self) -> String {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.is_empty() {
            return String::new();
        }
        let lines: Vec<&str> = kept.iter().map(String::as_str).collect();
        format!("; it said:\n  {}", lines.join("\n  "))
    }

    /// What the process said last, if it has ended.
    fn ended(&self) -> Option<String> {
        self.child().try_wait().ok().flatten()?;
        Some(self.said())
    }

    /// Lets the process go: it ends by itself once its standard input does.
    fn stop(&mut self) {
        let child = self.child.get_mut().unwrap_or_else(PoisonError::into_inner);
        drop(child.stdin.take());
        let deadline = Instant::now() + LEAVE_WITHIN;
        while matches!(child.try_wait(), Ok(None)) {
            if Instant::now() >= deadline {
                // It is ours, and it had its time. One that is gone meanwhile needs no signal.
                let _ = child.kill();
                let _ = child.wait();
                return;
            }
            std::thread::sleep(POLL);
        }
    }
}

impl Drop for OwnedProcess {
    /// Whatever ends gander's command, nothing that it started stays behind.
    fn drop(&mut self) {
        self.stop();
    }
}

/// Reads `output` to its end, so that the target never blocks on a full pipe, and keeps the last
/// lines. Lines are cut: a target may print anything.
fn keep_lines(
    output: impl Read,
    kept: &Mutex<VecDeque<String>>,
    sender: &std::sync::mpsc::Sender<String>,
) {
    const LONGEST: u64 = 4096;
    let mut reader = BufReader::new(output);
    let mut line = Vec::new();
    while let Ok(1..) = reader.by_ref().take(LONGEST).read_until(b'\n', &mut line) {
        let text = String::from_utf8_lossy(&line).trim_end().to_owned();
        line.clear();
        if text.contains(supervisor::ANNOUNCES) {
            let _ = sender.send(text);
            continue;
        }
        let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.push_back(text.clone());
        if kept.len() > KEPT_LINES {
            kept.pop_front();
        }
        // Nobody listens any more once the target is ready.
        let _ = sender.send(text);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_target_said_last_stands_on_one_line() {
        let said = "; it said:\n  Traceback\n\n    error: sh ended with exit status: 3";
        assert_eq!(on_one_line(said), "; it said: Traceback / error: sh ended with exit status: 3");
        assert_eq!(on_one_line(""), "");
    }
}
