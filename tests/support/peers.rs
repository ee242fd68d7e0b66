//! Real programs to test with, as `.ci/install-peers` installs them.

use std::env;
use std::io::{BufRead as _, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::Duration;

/// How long a peer may take to listen, on a machine that is busy with other tests.
const STARTED_WITHIN: Duration = Duration::from_secs(60);

/// The program `name`, from the Python environment, the Node packages or from `PATH`. Where it is missing, this says
/// that the test is skipped; in CI nothing is skipped, so there it fails.
pub fn program(name: &str) -> Option<PathBuf> {
    let peers =
        env::var_os("GANDER_PEERS").map_or_else(|| root().join("target/peers"), PathBuf::from);
    let path = env::var_os("PATH").unwrap_or_default();
    let peers = root().join(peers);
    let own = ["venv/bin", "node/node_modules/.bin"].map(|folder| peers.join(folder));
    let mut folders = own.into_iter().chain(env::split_paths(&path));
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

/// A running server; it ends when this is dropped.
#[derive(Debug)]
pub struct Peer {
    process: Child,
    url: String,
}

impl Peer {
    /// Starts the inference service on a free port, with a model that takes `base_ms` for a call;
    /// `None` where uvicorn is not installed.
    pub fn inference(engine: &str, base_ms: u32) -> Option<Self> {
        let mut uvicorn = uvicorn("inference_service")?;
        uvicorn.env("ENGINE", engine).env("BASE_MS", base_ms.to_string());
        Some(Peer::start(uvicorn, "running on "))
    }

    /// Starts the chat service on a free port; `None` where uvicorn is not installed.
    pub fn chat() -> Option<Self> {
        uvicorn("chat_service").map(|uvicorn| Peer::start(uvicorn, "running on "))
    }

    /// Starts aimock on a free port; `None` where it is not installed.
    pub fn aimock() -> Option<Self> {
        let mut aimock = Command::new(program("llmock")?);
        // All requests stay in its journal: it is what its counts are taken from.
        aimock.args(["--port", "0", "--journal-max", "0", "--validate-on-load", "--fixtures"]);
        aimock.arg(root().join("tests/peers/aimock/fixtures.json"));
        Some(Peer::start(aimock, "listening on "))
    }

    /// Starts a server that says its address after `before`, on whichever of its outputs.
    fn start(mut server: Command, before: &str) -> Peer {
        let mut process = server
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the server starts");
        let lines = lines_of(&mut process);
        let mut peer = Peer { process, url: String::new() };
        let mut log = String::new();
        while let Ok(line) = lines.recv_timeout(STARTED_WITHIN) {
            if let Some((_, rest)) = line.split_once(before) {
                peer.url = rest.split_whitespace().next().unwrap_or_default().to_owned();
                return peer;
            }
            log += &line;
        }
        panic!("{server:?} does not listen:\n{log}");
    }

    /// The address of `path`, which begins with a slash.
    pub fn url(&self, path: &str) -> String {
        format!("{}{path}", self.url)
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// uvicorn with the app in a folder of `tests/peers`.
fn uvicorn(folder: &str) -> Option<Command> {
    let mut uvicorn = Command::new(program("uvicorn")?);
    uvicorn
        .args(["app:app", "--host", "127.0.0.1", "--port", "0", "--no-access-log"])
        .current_dir(root().join("tests/peers").join(folder))
        .env("PYTHONDONTWRITEBYTECODE", "1");
    Some(uvicorn)
}

/// Lines of both outputs, read to the end so that the process never waits for a reader.
fn lines_of(process: &mut Child) -> Receiver<String> {
    let (sender, receiver) = mpsc::channel();
    let read = |output: Box<dyn Read + Send>| {
        let sender = sender.clone();
        thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                let _ = sender.send(line + "\n");
            }
        });
    };
    read(Box::new(process.stdout.take().expect("stdout is piped")));
    read(Box::new(process.stderr.take().expect("stderr is piped")));
    receiver
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}
