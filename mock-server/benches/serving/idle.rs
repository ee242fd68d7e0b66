//! Streams that have begun and wait.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Opens so many streams, waits for the first token of each, and returns how many there are. They
/// stay open until the process ends.
pub fn streams(address: &str, count: usize) -> usize {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let streams = runtime.block_on(async {
        let mut streams = Vec::with_capacity(count);
        for _ in 0..count {
            streams.push(begun(address).await);
        }
        streams
    });
    let held = streams.len();
    std::mem::forget((streams, runtime));
    held
}

async fn begun(address: &str) -> TcpStream {
    let asked =
        r#"{"model":"gpt-4o","stream":true,"messages":[{"role":"user","content":"Wait."}]}"#;
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer k\r\n\
         content-type: application/json\r\ncontent-length: {}\r\n\r\n{asked}",
        asked.len()
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut seen = Vec::new();
    let mut buffer = [0; 4_096];
    while !seen.windows(6).any(|window| window == b"data: ") {
        let read = stream.read(&mut buffer).await.unwrap();
        assert!(read > 0, "the stream ended: {}", String::from_utf8_lossy(&seen));
        seen.extend_from_slice(&buffer[..read]);
    }
    stream
}
