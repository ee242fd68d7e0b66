//! Connections: accepted, counted, served and closed.

use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::time::Duration;

use axum::Router;
use hyper::Request;
use hyper::body::Incoming;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::conditions::sleep;
use crate::control;
use crate::faults::Kind;
use crate::ledger::Socket;
use crate::service::Context;
use crate::wire::Wire;

/// How long requests in flight may take to end after a shutdown.
const DRAIN: Duration = Duration::from_secs(5);

/// How long the requests of connections that were cut off may take to notice it.
const GONE: Duration = Duration::from_secs(2);

/// Pause after a failed accept: out of file descriptors, it would fail again at once.
const ACCEPT_PAUSE: Duration = Duration::from_millis(20);

/// Connections that wait to be accepted, at most.
const BACKLOG: u32 = 4_096;

/// Serves `app` on every connection until the shutdown. Then no connection is accepted any more, idle
/// ones are closed, requests in flight may end within [`DRAIN`], and the rest is cut off.
pub(crate) async fn serve(mut listener: TcpListener, app: Router, context: &Context) {
    let Context { ledger, conditions, shutdown } = context;
    let mut connections = JoinSet::new();
    // All connections of a time in which they are accepted.
    let mut open = shutdown.child_token();
    let mut changes = conditions.changes();
    while !shutdown.is_cancelled() {
        let (is_refusing, change) = conditions.of_service(Kind::Refused);
        if is_refusing {
            open.cancel();
            match refuse(listener, context).await {
                Ok(again) => listener = again,
                Err(_) => break,
            }
            open = shutdown.child_token();
            continue;
        }
        tokio::select! {
            () = shutdown.cancelled() => break,
            () = sleep(change) => {}
            _ = changes.changed() => {}
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    let socket = ledger.socket();
                    connections.spawn(connection(stream, socket, app.clone(), open.clone()));
                }
                Err(_) => tokio::time::sleep(ACCEPT_PAUSE).await,
            },
            Some(_) = connections.join_next() => {}
        }
    }
    let drained = async { while connections.join_next().await.is_some() {} };
    if tokio::time::timeout(DRAIN, drained).await.is_err() {
        connections.shutdown().await;
    }
    // Streams of HTTP/2 are tasks of their own, which end soon after their connection.
    let gone = async {
        while ledger.in_flight() > 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    let _ = tokio::time::timeout(GONE, gone).await;
}

/// Nobody listens until the fault is over: the system refuses connections. The port stays ours,
/// since a socket without a queue is bound to it.
async fn refuse(listener: TcpListener, context: &Context) -> io::Result<TcpListener> {
    let address = listener.local_addr()?;
    drop(listener);
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4(),
        SocketAddr::V6(_) => TcpSocket::new_v6(),
    }?;
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    tokio::select! {
        () = context.conditions.until_over(Kind::Refused) => {}
        () = context.shutdown.cancelled() => {}
    }
    socket.listen(BACKLOG)
}

/// One connection, HTTP/1.1 or HTTP/2, to its end. How it ends is the client's business: an error
/// here is a reset or bytes that are no HTTP, and the ledger has what was open as abandoned.
async fn connection(
    stream: TcpStream,
    socket: Socket,
    app: Router,
    closing: CancellationToken,
) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    // Without this, a response in two segments waits for the client's delayed acknowledgement.
    stream.set_nodelay(true)?;
    let (wire, scissors) = Wire::new(stream);
    let app = TowerToHyperService::new(app);
    let service = service_fn(|mut request: Request<Incoming>| {
        if control::owns(request.uri().path()) {
            socket.carries_control();
        } else {
            socket.carries_service();
            request.extensions_mut().insert(scissors.clone());
        }
        app.call(request)
    });
    let server = auto::Builder::new(TokioExecutor::new());
    let mut connection = pin!(server.serve_connection(TokioIo::new(wire), service));
    tokio::select! {
        ended = connection.as_mut() => return ended,
        () = closing.cancelled() => connection.as_mut().graceful_shutdown(),
    }
    connection.await
}
