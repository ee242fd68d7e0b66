//! The real binary, as a user or a parent process runs it.
#![allow(
    dead_code,
    clippy::panic,
    clippy::unwrap_used,
    reason = "every test file uses a part of it; tests panic to fail"
)]

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, ChildStdout, Command, Stdio};

/// Running services. Dropping them ends them, so that a failing test leaves nothing behind.
pub struct Running {
    pub child: Child,
    pub out: Option<BufReader<ChildStdout>>,
    /// Names of the services in the order in which they are announced.
    pub names: Vec<String>,
    addresses: BTreeMap<String, String>,
}

impl Drop for Running {
    fn drop(&mut self) {
        // A process that runs others ends these at the end of its input; one that has ended already
        // needs neither.
        drop(self.child.stdin.take());
        let _ = Command::new("kill").arg(self.child.id().to_string()).output();
        let _ = self.child.wait();
    }
}

pub fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mock-server"));
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

impl Running {
    /// Starts `count` services and reads where they listen.
    pub fn start(count: usize, arguments: &[&str]) -> Running {
        let mut child = command(arguments).spawn().expect("the binary starts");
        let mut out = BufReader::new(child.stdout.take().expect("a piped output"));
        let (mut names, mut addresses) = (Vec::new(), BTreeMap::new());
        for _ in 0..count {
            let mut line = String::new();
            out.read_line(&mut line).expect("a line");
            let (name, address) = line
                .strip_suffix('\n')
                .and_then(|line| line.split_once(" listening on http://"))
                .unwrap_or_else(|| panic!("a line that names the address, not {line:?}"));
            names.push(name.to_owned());
            addresses.insert(name.to_owned(), address.to_owned());
        }
        Running { child, out: Some(out), names, addresses }
    }

    pub fn address(&self, service: &str) -> &str {
        &self.addresses[service]
    }

    /// What the only service answers.
    pub fn get(&self, path: &str) -> String {
        self.get_from(&self.names[0], path)
    }

    pub fn get_from(&self, service: &str, path: &str) -> String {
        self.send(service, &format!("GET {path}"), "")
    }

    /// The answer to a request with this line and a JSON body.
    pub fn send(&self, service: &str, request: &str, body: &str) -> String {
        let mut stream = TcpStream::connect(self.address(service)).expect("a connection");
        write!(
            stream,
            "{request} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-type: \
             application/json\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        )
        .expect("sent");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("an answer");
        answer
    }

    /// The next line of output.
    pub fn line(&mut self) -> String {
        let mut line = String::new();
        self.out.as_mut().expect("output to read").read_line(&mut line).expect("a line");
        line.trim_end().to_owned()
    }

    pub fn signal(&self, signal: &str) {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args([signal, &id]).status().unwrap().success());
    }

    /// Waits for the end and returns whether it was a success, and the rest of the output.
    pub fn end(mut self) -> (bool, String) {
        let mut rest = String::new();
        let mut out = self.out.take().expect("output not read yet");
        out.read_to_string(&mut rest).expect("text");
        (self.child.wait().expect("an exit status").success(), rest)
    }
}

/// Runs to the end and returns exit code, standard output and standard error.
pub fn ended(arguments: &[&str]) -> (i32, String, String) {
    let output = command(arguments).stdin(Stdio::null()).output().expect("the binary runs");
    let text = |bytes| String::from_utf8(bytes).expect("text");
    (output.status.code().expect("no signal"), text(output.stdout), text(output.stderr))
}

/// Runs to the end and returns exit code and standard error.
pub fn refused(arguments: &[&str]) -> (i32, String) {
    let (code, _, message) = ended(arguments);
    (code, message)
}

/// The settings that are in force with these arguments.
pub fn shown(arguments: &[&str]) -> toml::Table {
    let (code, text, message) = ended(&[arguments, &["--show"]].concat());
    assert_eq!(code, 0, "{arguments:?}: {message}");
    text.parse().expect("TOML")
}
