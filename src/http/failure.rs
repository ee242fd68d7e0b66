//! Why an exchange gave no whole response, in one outcome class and one line.

use std::io;
use std::time::Duration;

use rustix::io::Errno;

use crate::measure::sample::Outcome;

/// Why an exchange gave no whole response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// One of timeout, connect, reset, malformed, incomplete, client resource.
    pub outcome: Outcome,
    /// One line: what happened and, where one exists, the next step.
    pub message: String,
}

impl Failure {
    pub(super) fn new(outcome: Outcome, message: impl Into<String>) -> Failure {
        Failure { outcome, message: message.into() }
    }

    /// No connection to `authority`, because of `error`.
    pub(super) fn connect(authority: &str, error: &io::Error) -> Failure {
        if let Some(failure) = Failure::client_resource(error) {
            return failure;
        }
        let next = match error.kind() {
            io::ErrorKind::ConnectionRefused => "; is the service running there?",
            _ => "",
        };
        Failure::new(
            Outcome::Connect,
            format!("cannot connect to {authority}: {}{next}", reason(error)),
        )
    }

    /// A connection broke. `received` is how far the response came: nothing, or what was read.
    pub(super) fn broken(error: &io::Error, received: Option<String>) -> Failure {
        if let Some(failure) = Failure::client_resource(error) {
            return failure;
        }
        let reason = reason(error);
        match received {
            None => Failure::new(Outcome::Reset, format!("{reason} before a response began")),
            Some(progress) => {
                Failure::new(Outcome::Incomplete, format!("{reason} after {progress}"))
            }
        }
    }

    pub(super) fn timeout(after: Duration, phase: Phase) -> Failure {
        Failure::new(Outcome::Timeout, format!("timed out after {after:?} {}", phase.name()))
    }

    /// This machine has no more of something.
    pub(super) fn client_resource(error: &io::Error) -> Option<Failure> {
        let message = match Errno::from_io_error(error)? {
            Errno::MFILE => {
                "this process has no file descriptors left; raise its limit (ulimit -n) or use \
                 fewer users"
            }
            Errno::NFILE => "this machine has no file descriptors left (fs.file-max)",
            Errno::ADDRNOTAVAIL => {
                "this machine has no free local port or address for the target; widen \
                 net.ipv4.ip_local_port_range, or let the service keep connections alive"
            }
            Errno::NOBUFS => "this machine has no socket buffers left; use fewer users",
            Errno::NOMEM => "this machine has no memory left; use fewer users",
            _ => return None,
        };
        Some(Failure::new(Outcome::ClientResource, message))
    }
}

/// What the system said, without its number.
pub(super) fn reason(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => "connection refused".to_owned(),
        io::ErrorKind::ConnectionReset => "connection reset".to_owned(),
        io::ErrorKind::BrokenPipe | io::ErrorKind::UnexpectedEof => "connection closed".to_owned(),
        io::ErrorKind::HostUnreachable => "host unreachable".to_owned(),
        io::ErrorKind::NetworkUnreachable => "network unreachable".to_owned(),
        _ => error.to_string(),
    }
}

/// How far an exchange has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    AwaitingConnection,
    Connecting,
    Tls,
    AwaitingStream,
    Sending,
    Waiting,
    Reading,
}

impl Phase {
    fn name(self) -> &'static str {
        match self {
            Phase::AwaitingConnection => "while waiting for one of the shared connections",
            Phase::Connecting => "while connecting",
            Phase::Tls => "in the TLS handshake",
            Phase::AwaitingStream => {
                "while waiting for a free stream of the connection (the service allows so many)"
            }
            Phase::Sending => "while sending the request",
            Phase::Waiting => "while waiting for the first byte",
            Phase::Reading => "while reading the response",
        }
    }
}
