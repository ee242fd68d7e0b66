//! Real programs to test with, as `.ci/install-peers` installs them.

use std::env;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::Duration;

/// How long a peer may take to listen, on a machine that is busy with other tests.
const STARTED_WITHIN: Duration = Duration::from_secs(60);

/// The program `name`, from the Python environment or from `PATH`. Where it is missing, this says
/// that the test is skipped; in CI nothing is skipped, so there it fails.
pub fn program(name: &str) -> Option<PathBuf> {
    let peers =
        env::var_os("GANDER_PEERS").map_or_else(|| root().join("target/peers"), PathBuf::from);
    let path = env::var_os("PATH").unwrap_or_default();
    let mut folders =
        std::iter::once(root().join(peers).join("venv/bin")).chain(env::split_paths(&path));
    let found = folders.find_map(|folder| Some(folder.join(name)).filter(|file| file.is_file()));
    if found.is_none() {
        assert!(env::var_os("CI").is_none(), "`{name}` is missing: .ci/install-peers installs it");
        eprintln!("SKIPPED: `{name}` is missing; .ci/install-peers installs it");
    }
    found
}

/// Where the FastAPI service lies: the folder to start uvicorn in.
pub fn inference_service() -> PathBuf {
    root().join("tests/peers/inference_service")
}

/// A running FastAPI service; it ends when this is dropped.
#[derive(Debug)]
pub struct InferenceService {
    process: Child,
    url: String,
}

impl InferenceService {
    /// Starts it on a free port, with a model that takes `base_ms` for a call; `None` where uvicorn
    /// is not installed.
    pub fn start(engine: &str, base_ms: u32) -> Option<Self> {
        let mut process = Command::new(program("uvicorn")?)
            .args(["app:app", "--host", "127.0.0.1", "--port", "0", "--no-access-log"])
            .current_dir(inference_service())
            .env("ENGINE", engine)
            .env("BASE_MS", base_ms.to_string())
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("uvicorn starts");
        let lines = lines_of(&mut process);
        let mut service = InferenceService { process, url: String::new() };
        let mut log = String::new();
        while let Ok(line) = lines.recv_timeout(STARTED_WITHIN) {
            if let Some((_, rest)) = line.split_once("running on ") {
                service.url = rest.split(' ').next().unwrap_or_default().to_owned();
                return Some(service);
            }
            log += &line;
        }
        panic!("uvicorn does not listen:\n{log}");
    }

    /// The address of `path`, which begins with a slash.
    pub fn url(&self, path: &str) -> String {
        format!("{}{path}", self.url)
    }
}

impl Drop for InferenceService {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Lines of standard error, read to the end so that the process never waits for a reader.
fn lines_of(process: &mut Child) -> Receiver<String> {
    let stderr = process.stderr.take().expect("stderr is piped");
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        for line in BufReader::new(stderr).lines().map_while(Result::ok) {
            let _ = sender.send(line + "\n");
        }
    });
    receiver
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}
