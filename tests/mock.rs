//! `gander mock` and the services that `gander load` starts, through gander's own binary. What the
//! services do is tested with mock-server.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::io::{BufRead, BufReader, Read};
use std::net::TcpStream;
use std::process::{Command, Output, Stdio};

fn gander(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_gander"));
    command.args(arguments).stdin(Stdio::null());
    command
}

fn refused(arguments: &[&str]) -> String {
    let Output { status, stderr, .. } = gander(arguments).output().unwrap();
    let said = String::from_utf8(stderr).unwrap();
    assert_eq!(status.code(), Some(2), "{said}");
    said
}

#[test]
fn services_apart_are_processes_of_the_same_program() {
    let arguments = ["mock", "inference", "llm", "--apart", "--port", "0", "--until-stdin-closes"];
    let mut child =
        gander(&arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut out = BufReader::new(child.stdout.take().unwrap());
    let addresses = ["inference", "llm"].map(|name| {
        let mut line = String::new();
        out.read_line(&mut line).unwrap();
        let (said, address) = line.trim_end().split_once(" listening on http://").unwrap();
        assert_eq!(said, name);
        address.to_owned()
    });
    assert!(addresses.iter().all(|address| TcpStream::connect(address).is_ok()));
    drop(child.stdin.take());
    let mut rest = String::new();
    out.read_to_string(&mut rest).unwrap();
    assert!(child.wait().unwrap().success());
    assert!(rest.contains("\ninference: ") && rest.contains("\nllm: "), "{rest}");
    assert!(addresses.iter().all(|address| TcpStream::connect(address).is_err()));
}

#[test]
fn mistakes_are_bad_input_and_say_the_way_out() {
    let said = refused(&["mock", "inference", "--set", "engin=blocking"]);
    assert!(said.contains("did you mean `engine`?"), "{said}");
    assert!(said.starts_with("error: unknown key"), "under one heading only: {said}");
    let said = refused(&["mock", "inference", "--engine", "blocking"]);
    assert!(said.contains("--set engine=…"), "{said}");
    let said = refused(&["load", "inference-single", "--service", "latency.bse=1ms"]);
    assert!(said.contains("did you mean `base`?"), "{said}");
    let said = refused(&["load", "--engine", "blocking"]);
    assert!(!said.contains("--set"), "`load` has none: {said}");
}
