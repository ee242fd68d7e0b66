//! Connections: accepted, counted, served and closed.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::Request;
use hyper::body::Incoming;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::control;
use crate::ledger::{Ledger, Socket};

/// How long requests in flight may take to end after a shutdown.
const DRAIN: Duration = Duration::from_secs(5);

/// Pause after a failed accept: out of file descriptors, it would fail again at once.
const ACCEPT_PAUSE: Duration = Duration::from_millis(20);

/// Serves `app` on every connection until `shutdown`. Then no connection is accepted any more, idle
/// ones are closed, requests in flight may end within [`DRAIN`], and the rest is cut off.
pub(crate) async fn serve(
    listener: TcpListener,
    shutdown: CancellationToken,
    app: Router,
    ledger: &Arc<Ledger>,
) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            () = shutdown.cancelled() => break,
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    let socket = ledger.socket();
                    connections.spawn(connection(stream, socket, app.clone(), shutdown.clone()));
                }
                Err(_) => tokio::time::sleep(ACCEPT_PAUSE).await,
            },
            Some(_) = connections.join_next() => {}
        }
    }
    drop(listener);
    let drained = async { while connections.join_next().await.is_some() {} };
    if tokio::time::timeout(DRAIN, drained).await.is_err() {
        connections.shutdown().await;
    }
}

/// One connection, HTTP/1.1 or HTTP/2, to its end. How it ends is the client's business: an error
/// here is a reset or bytes that are no HTTP, and the ledger has what was open as abandoned.
async fn connection(
    stream: TcpStream,
    socket: Socket,
    app: Router,
    shutdown: CancellationToken,
) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    // Without this, a response in two segments waits for the client's delayed acknowledgement.
    stream.set_nodelay(true)?;
    let app = TowerToHyperService::new(app);
    let service = service_fn(|request: Request<Incoming>| {
        if control::owns(request.uri().path()) {
            socket.carries_control();
        } else {
            socket.carries_service();
        }
        app.call(request)
    });
    let server = auto::Builder::new(TokioExecutor::new());
    let mut connection = pin!(server.serve_connection(TokioIo::new(stream), service));
    tokio::select! {
        ended = connection.as_mut() => return ended,
        () = shutdown.cancelled() => connection.as_mut().graceful_shutdown(),
    }
    connection.await
}
