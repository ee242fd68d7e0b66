//! What went wrong on an HTTP/2 connection, in the classes of every other exchange.

use super::super::failure::Failure;
use super::super::tls;
use super::exchange::Cause;
use super::socket::Seen;
use crate::measure::sample::Outcome;

/// Why there is no whole response. `received` is how far it came: nothing, or what was read.
pub(super) fn broken(cause: &Cause, received: Option<String>, seen: &Seen) -> Failure {
    match cause {
        Cause::Protocol(error) => protocol(error, received, seen),
        Cause::Malformed(reason) => Failure::new(Outcome::Malformed, reason.to_string()),
    }
}

/// The same, where it was the connection, the stream or the protocol that broke.
pub(super) fn protocol(error: &h2::Error, received: Option<String>, seen: &Seen) -> Failure {
    if seen.first().is_some() && !seen.is_http2() {
        return stranger(seen);
    }
    if let Some(error) = error.get_io() {
        if let Some(failure) = Failure::client_resource(error) {
            return failure;
        }
        if received.is_none()
            && let Some(message) = tls::refusal(error)
        {
            return Failure::new(Outcome::Connect, message);
        }
        let mut failure = Failure::broken(error, received);
        if seen.first().is_none() {
            failure.message += NEVER_SPOKE;
        }
        return failure;
    }
    let reason = error.reason().map_or_else(|| error.to_string(), |reason| format!("{reason:?}"));
    if !error.is_remote() {
        return Failure::new(Outcome::Malformed, format!("not HTTP/2 as it should be: {reason}"));
    }
    let (what, next) = match (error.is_go_away(), error.reason()) {
        (true, _) => ("the service closed the connection (GOAWAY", ""),
        (false, Some(h2::Reason::REFUSED_STREAM)) => {
            ("the service refused the request (RST_STREAM", "; it allows fewer at a time")
        }
        (false, _) => ("the service reset the stream (RST_STREAM", ""),
    };
    match received {
        None => {
            Failure::new(Outcome::Reset, format!("{what}, {reason}) before a response began{next}"))
        }
        Some(progress) => {
            Failure::new(Outcome::Incomplete, format!("{what}, {reason}) after {progress}"))
        }
    }
}

const NEVER_SPOKE: &str = "; does the service speak HTTP/2? leave out --http2 where it does not";

/// The service speaks something else, or nothing.
pub(super) fn stranger(seen: &Seen) -> Failure {
    let message = match seen.first() {
        Some(b'H') => "the service speaks HTTP/1.1 only; leave out --http2".to_owned(),
        // An alert or handshake record.
        Some(0x15 | 0x16) => "the service speaks TLS: use https://".to_owned(),
        Some(_) => "the service does not speak HTTP/2; leave out --http2".to_owned(),
        None => format!("the service closed the connection{NEVER_SPOKE}"),
    };
    Failure::new(Outcome::Connect, message)
}
