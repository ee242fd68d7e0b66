//! wrk as the client.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Command;

use crate::process::Server;

const CONNECTIONS: &str = "32";
const SECONDS: &str = "3s";
const PATH: &str = "/v1/chat/completions";

/// Head fields and body of the answer to this request.
pub fn answer(address: &str, asked: &str) -> (String, String) {
    let mut stream = TcpStream::connect(address).unwrap();
    write!(
        stream,
        "POST {PATH} HTTP/1.1\r\nhost: x\r\nconnection: close\r\nauthorization: Bearer k\r\n\
         content-type: application/json\r\ncontent-length: {}\r\n\r\n{asked}",
        asked.len()
    )
    .unwrap();
    let mut whole = String::new();
    stream.read_to_string(&mut whole).unwrap();
    let (head, body) = whole.split_once("\r\n\r\n").expect("a whole answer");
    let (status, fields) = head.split_once("\r\n").unwrap();
    assert!(status.contains(" 200 "), "{whole}");
    let kept = fields.lines().filter(|line| !line.to_lowercase().starts_with("connection:"));
    (kept.collect::<Vec<_>>().join("\n"), body.to_owned())
}

/// Requests that the server answered, for each second of its CPU time.
pub fn requests_per_cpu_second(server: &Server, asked: &str) -> f64 {
    let script = std::env::temp_dir().join(format!("serving-{}.lua", std::process::id()));
    let lua = format!(
        "wrk.method = 'POST'\nwrk.body = [[{asked}]]\n\
         wrk.headers['content-type'] = 'application/json'\n\
         wrk.headers['authorization'] = 'Bearer k'\n"
    );
    fs::write(&script, lua).unwrap();
    let before = server.cpu_s();
    let output = Command::new("wrk")
        .args(["-t1", "-c", CONNECTIONS, "-d", SECONDS, "-s"])
        .arg(&script)
        .arg(format!("http://{}{PATH}", server.address))
        .output()
        .expect("wrk is there: .ci/install-peers installs it");
    let spent = server.cpu_s() - before;
    let _ = fs::remove_file(&script);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(!text.contains("Non-2xx") && !text.contains("Socket errors"), "{text}");
    let line = text.lines().find(|line| line.contains(" requests in ")).expect("wrk's total");
    let requests: f64 = line.split_whitespace().next().unwrap().parse().unwrap();
    requests / spent
}
