//! The real binary, as a user or a parent process runs it.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, ChildStdout, Command, Stdio};

/// A running service. Dropping it ends it, so that a failing test leaves nothing behind.
struct Running {
    child: Child,
    out: Option<BufReader<ChildStdout>>,
    address: String,
}

impl Drop for Running {
    fn drop(&mut self) {
        // Both fail if it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mock-server"));
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

impl Running {
    /// Starts the service and reads its first line.
    fn start(arguments: &[&str]) -> Running {
        let mut child = command(arguments).spawn().expect("the binary starts");
        let mut out = BufReader::new(child.stdout.take().expect("a piped output"));
        let mut line = String::new();
        out.read_line(&mut line).expect("a first line");
        let address = line
            .strip_prefix("inference listening on http://")
            .and_then(|rest| rest.strip_suffix('\n'))
            .expect("a first line that names the address")
            .to_owned();
        Running { child, out: Some(out), address }
    }

    fn get(&self, path: &str) -> String {
        let mut stream = TcpStream::connect(&self.address).expect("a connection");
        write!(stream, "GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
            .expect("sent");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("an answer");
        answer
    }

    /// Waits for the end and returns whether it was a success, and the rest of the output.
    fn end(mut self) -> (bool, String) {
        let mut rest = String::new();
        let mut out = self.out.take().expect("output not read yet");
        out.read_to_string(&mut rest).expect("text");
        (self.child.wait().expect("an exit status").success(), rest)
    }
}

/// Runs to the end and returns exit code and standard error.
fn refused(arguments: &[&str]) -> (i32, String) {
    let output = command(arguments).output().expect("the binary runs");
    (output.status.code().expect("no signal"), String::from_utf8(output.stderr).expect("text"))
}

#[test]
fn a_signal_ends_it_with_a_summary() {
    for signal in ["-INT", "-TERM"] {
        let service = Running::start(&["inference", "--port", "0", "--base", "0"]);
        assert!(service.get("/health").starts_with("HTTP/1.1 200"));
        assert!(service.get("/nothing").starts_with("HTTP/1.1 404"));
        let id = service.child.id().to_string();
        assert!(Command::new("kill").args([signal, &id]).status().unwrap().success());
        let (success, rest) = service.end();
        assert!(success);
        let example = rest.lines().next().unwrap();
        assert!(example.starts_with("try: curl -s http://127.0.0.1:"), "{example}");
        assert!(rest.contains("inference: 2 requests answered and 0 abandoned"), "{rest}");
        let health = rest.lines().find(|line| line.starts_with("GET /health")).unwrap();
        assert_eq!(health.split_whitespace().skip(2).take(2).collect::<Vec<_>>(), ["200", "1"]);
    }
}

#[test]
fn the_end_of_standard_input_ends_it_if_asked() {
    let mut service = Running::start(&["inference", "--port", "0", "--until-stdin-closes"]);
    assert!(service.get("/health").starts_with("HTTP/1.1 200"));
    assert!(service.child.try_wait().unwrap().is_none(), "an open input keeps it running");
    drop(service.child.stdin.take());
    let (success, rest) = service.end();
    assert!(success);
    assert!(rest.contains("1 requests answered"), "{rest}");
}

#[test]
fn the_end_of_standard_input_means_nothing_otherwise() {
    let mut service = Running::start(&["inference", "--port", "0"]);
    drop(service.child.stdin.take());
    assert!(service.get("/health").starts_with("HTTP/1.1 200"));
    assert!(service.child.try_wait().unwrap().is_none());
}

#[test]
fn a_parent_that_reads_no_more_is_no_error() {
    let mut service = Running::start(&["inference", "--port", "0", "--until-stdin-closes"]);
    // The example that follows the first line must not meet a closed pipe.
    let mut example = String::new();
    service.out.as_mut().unwrap().read_line(&mut example).unwrap();
    drop(service.out.take());
    drop(service.child.stdin.take());
    assert!(service.child.wait().unwrap().success());
}

#[test]
fn options_become_behaviour() {
    let service = Running::start(&[
        "inference",
        "--port",
        "0",
        "--engine",
        "blocking",
        "--base",
        "0.5ms",
        "--per-item",
        "250us",
        "--jitter",
        "0",
        "--until-stdin-closes",
    ]);
    let mut stream = TcpStream::connect(&service.address).unwrap();
    let body = r#"{"texts":["good","bad"]}"#;
    write!(
        stream,
        "POST /predict_batch HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-type: \
         application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    let ledger = service.get("/control/ledger");
    assert!(ledger.contains(r#""intended":{"count":1,"mean_ms":1.0,"#), "{ledger}");
}

#[test]
fn a_port_in_use_is_named_with_the_way_out() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let (code, message) = refused(&["inference", "--port", &port]);
    assert_eq!(code, 3);
    assert!(message.contains(&format!("port {port} on 127.0.0.1 is already in use")), "{message}");
    assert!(message.contains("--port"), "{message}");
}

#[test]
fn contradictions_and_misspellings_are_bad_input() {
    let cases = [
        (&["inference", "--base", "1ms", "--jitter", "2ms"][..], "--jitter 2ms is longer than"),
        (&["inference", "--engine", "blocking", "--workers", "2"], "--workers has no meaning"),
        (&["inference", "--base", "90"], "a number and a unit, such as 90ms"),
        (&["inference", "--base", "-1ms"], "unexpected argument"),
        (&["inference", "--base", "inf"], "a number and a unit"),
        (&["inference", "--base", "2h"], "a number and a unit"),
        (&["inference", "--base", "1e9s"], "at most one hour"),
        (&["inference", "--workers", "0"], "--workers"),
        (&["inference", "--engine", "treaded"], "threaded"),
        (&["inferense"], "inference"),
    ];
    for (arguments, expected) in cases {
        let (code, message) = refused(arguments);
        assert_eq!(code, 2, "{arguments:?}: {message}");
        assert!(message.contains(expected), "{arguments:?}: {message}");
    }
    let (code, message) = refused(&["inference", "--host", "no.such.host.invalid", "--port", "0"]);
    assert_eq!(code, 3);
    assert!(message.contains("cannot listen on no.such.host.invalid port 0"), "{message}");
}
