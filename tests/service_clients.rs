//! Clients that no one here wrote, against the reference services as `gander mock` runs them: curl
//! with the very lines that it prints, and Python's httpx.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "tests panic to fail, and say what they skip"
)]

#[path = "support/peers.rs"]
#[allow(dead_code, reason = "its servers are for other tests")]
mod peers;

use std::io::{BufRead as _, BufReader, Read as _};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};

use serde_json::Value;

const SERVICES: [&str; 4] = ["inference", "llm", "multi-query", "ensemble"];

/// All four services in one process; killed when dropped.
struct Mock {
    child: Child,
    out: BufReader<ChildStdout>,
    urls: Vec<String>,
    curls: Vec<String>,
}

impl Drop for Mock {
    fn drop(&mut self) {
        // Both fail if it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Mock {
    fn start(more: &[&str]) -> Mock {
        let mut command = Command::new(env!("CARGO_BIN_EXE_gander"));
        command.arg("mock").args(SERVICES).args(["--port", "0"]).args(more);
        let mut child =
            command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().expect("gander starts");
        let mut out = BufReader::new(child.stdout.take().unwrap());
        let (mut urls, mut curls) = (Vec::new(), Vec::new());
        while curls.len() < SERVICES.len() {
            let mut line = String::new();
            assert!(out.read_line(&mut line).unwrap() > 0, "it ended after {urls:?} {curls:?}");
            if let Some((name, url)) = line.trim_end().split_once(" listening on ") {
                assert_eq!(name, SERVICES[urls.len()], "in the order asked for");
                urls.push(url.to_owned());
            } else if let Some(line) = line.strip_prefix("try: ") {
                curls.push(line.trim_end().to_owned());
            }
        }
        Mock { child, out, urls, curls }
    }

    /// Stops it as Ctrl-C does, and returns what it says then.
    fn stop(mut self) -> String {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args(["-INT", &id]).status().unwrap().success());
        let mut rest = String::new();
        self.out.read_to_string(&mut rest).unwrap();
        assert!(self.child.wait().unwrap().success());
        rest
    }
}

#[test]
fn curl_gets_an_answer_from_every_service_by_the_line_that_is_printed() {
    if peers::program("curl").is_none() {
        return;
    }
    let mock = Mock::start(&[]);
    for (service, line) in SERVICES.iter().zip(&mock.curls) {
        let output = Command::new("sh").args(["-c", line]).output().unwrap();
        assert!(output.status.success(), "{service}: {line}");
        let answer: Value = serde_json::from_slice(&output.stdout)
            .unwrap_or_else(|_| panic!("{service}: {}", String::from_utf8_lossy(&output.stdout)));
        let field = match *service {
            "inference" => "sentiment",
            "llm" => "choices",
            "multi-query" => "rows",
            _ => "snapshots",
        };
        assert!(answer.get(field).is_some(), "{service}: {answer}");
    }
    let said = mock.stop();
    for service in SERVICES {
        assert!(said.contains(&format!("{service}: ")), "a ledger of {service}: {said}");
    }
}

#[test]
fn httpx_and_the_ledgers_agree() {
    let Some(python) = peers::program("python") else { return };
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/peers/http_clients/services.py");
    let mock = Mock::start(&["--set", "inference.latency=2ms", "--set", "llm.latency=2ms"]);
    let output = Command::new(python).arg(script).args(&mock.urls).output().unwrap();
    let (out, err) = (output.stdout, output.stderr);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&err));
    assert_eq!(String::from_utf8_lossy(&out).trim_end(), "ok");
}
