//! A server that costs as little as one on tokio can: it reads a request and writes a constant.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::tools::pinned;

const BODY: &str = "{\"sentiment\":\"positive\",\"confidence\":0.93,\"model\":\"bench-1\"}";

/// A server in a process of its own; it ends when this is dropped.
pub struct Server {
    process: Child,
    pub port: u16,
}

impl Server {
    pub fn start(delay_ms: u64) -> Server {
        let this = std::env::current_exe().expect("this bench's own program");
        let mut command = pinned(Command::new(this).args(["serve", &delay_ms.to_string()]), 1);
        let mut process = command.stdout(Stdio::piped()).spawn().expect("the server starts");
        let mut line = String::new();
        let output = process.stdout.take().expect("its output is ours");
        BufReader::new(output).read_line(&mut line).expect("the server says its port");
        Server { process, port: line.trim().parse().expect("a port") }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Serves until it is killed. Says its port first.
pub fn serve(delay_ms: u64) {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
        listener.set_nonblocking(true).expect("a socket takes this");
        super::say(&listener.local_addr().expect("an address").port().to_string());
        let listener = TcpListener::from_std(listener).expect("a socket");
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(answer(stream, Duration::from_millis(delay_ms)));
        }
    });
}

async fn answer(mut stream: TcpStream, delay: Duration) -> Option<()> {
    stream.set_nodelay(true).ok()?;
    let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length:";
    let response = format!("{head} {}\r\n\r\n{BODY}", BODY.len());
    let mut input = vec![0; 2048];
    let mut filled = 0;
    loop {
        filled += stream.read(&mut input[filled..]).await.ok().filter(|read| *read > 0)?;
        if let Some(length) = request_length(&input[..filled])
            && filled >= length
        {
            if !delay.is_zero() {
                tokio::time::sleep(delay).await;
            }
            stream.write_all(response.as_bytes()).await.ok()?;
            input.copy_within(length..filled, 0);
            filled -= length;
        }
    }
}

/// Length of head and body, once the head is there.
fn request_length(input: &[u8]) -> Option<usize> {
    let head = input.windows(4).position(|window| window == b"\r\n\r\n")? + 4;
    let text = std::str::from_utf8(&input[..head]).ok()?.to_ascii_lowercase();
    let length = text.lines().find_map(|line| line.strip_prefix("content-length:"));
    Some(head + length.map_or(0, |length| length.trim().parse().unwrap_or(0)))
}
