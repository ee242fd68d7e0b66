//! The least that a server on hyper can do: read a request to its end, return bytes.

use std::convert::Infallible;
use std::io::Write;

use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::header::{HeaderMap, HeaderName, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;

/// Serves the same answer to every request until it is killed; its first line says where. `head` are
/// the lines of the answer's header fields.
pub fn serve(head: &str, body: &str) {
    let headers: HeaderMap = head
        .lines()
        .filter_map(|line| line.split_once(": "))
        // Those two are hyper's own.
        .filter(|(name, _)| !["date", "content-length"].contains(&name.to_lowercase().as_str()))
        .map(|(name, value)| (name.parse::<HeaderName>().unwrap(), value.parse().unwrap()))
        .collect::<HeaderMap<HeaderValue>>();
    let body = Bytes::from(body.to_owned());
    // As many threads as the reference services have.
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async move {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut out = std::io::stdout();
        writeln!(out, "bare listening on http://{}", listener.local_addr().unwrap()).unwrap();
        out.flush().unwrap();
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            stream.set_nodelay(true).unwrap();
            let (headers, body) = (headers.clone(), body.clone());
            tokio::spawn(async move {
                let service = service_fn(|request: Request<Incoming>| {
                    let (headers, body) = (headers.clone(), body.clone());
                    async move {
                        let _ = request.into_body().collect().await;
                        let mut response = Response::new(Full::new(body));
                        *response.headers_mut() = headers;
                        Ok::<_, Infallible>(response)
                    }
                });
                // A connection ends as the client wants it.
                let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
            });
        }
    });
}
