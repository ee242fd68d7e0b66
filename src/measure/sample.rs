//! What was measured about one request.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// A moment of a run: nanoseconds since the run's start on the monotonic clock.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Offset(pub u64);

impl Offset {
    /// Later than every moment of a run: an end that is not known yet.
    pub const NEVER: Offset = Offset(u64::MAX);

    /// Time from `earlier` to `self`; zero where `earlier` is later.
    pub fn since(self, earlier: Offset) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }

    /// Seconds since the run's start.
    pub fn as_secs_f64(self) -> f64 {
        Duration::from_nanos(self.0).as_secs_f64()
    }
}

impl From<Duration> for Offset {
    fn from(since_start: Duration) -> Self {
        Offset(u64::try_from(since_start.as_nanos()).unwrap_or(u64::MAX))
    }
}

impl std::ops::Add<Duration> for Offset {
    type Output = Offset;

    fn add(self, later_by: Duration) -> Offset {
        Offset(self.0.saturating_add(Offset::from(later_by).0))
    }
}

/// Index of a step in its scenario.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct StepId(pub u16);

/// How a request ended. Every request ends in exactly one of these.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// The whole body was read and every check passed.
    Ok,
    /// The status was as expected; a check on headers or body was not.
    CheckFailed,
    /// The status was not as expected.
    HttpStatus,
    /// 429, or 503 or 529 with `Retry-After`: the target asked for less.
    RateLimited,
    /// The step's timeout passed before the whole body was read.
    Timeout,
    /// No connection: name not resolved, refused, unreachable, or TLS failed.
    Connect,
    /// The connection was reset, or closed before a response began.
    Reset,
    /// The response broke its protocol or format: framing, chunking, size limit.
    Malformed,
    /// The response began and was cut short.
    Incomplete,
    /// This machine ran out of file descriptors, ports or memory.
    ClientResource,
    /// Due, but never sent: its template could not be filled in.
    Dropped,
    /// Ended by the stop of the run.
    Cancelled,
}

impl Outcome {
    /// Every outcome, in the order in which reports list them.
    pub const ALL: [Outcome; 12] = [
        Outcome::Ok,
        Outcome::CheckFailed,
        Outcome::HttpStatus,
        Outcome::RateLimited,
        Outcome::Timeout,
        Outcome::Connect,
        Outcome::Reset,
        Outcome::Malformed,
        Outcome::Incomplete,
        Outcome::ClientResource,
        Outcome::Dropped,
        Outcome::Cancelled,
    ];

    /// The name in files and reports.
    pub fn name(self) -> &'static str {
        match self {
            Outcome::Ok => "ok",
            Outcome::CheckFailed => "check failed",
            Outcome::HttpStatus => "HTTP status",
            Outcome::RateLimited => "rate limited",
            Outcome::Timeout => "timeout",
            Outcome::Connect => "connect",
            Outcome::Reset => "reset",
            Outcome::Malformed => "malformed",
            Outcome::Incomplete => "incomplete",
            Outcome::ClientResource => "client resource",
            Outcome::Dropped => "dropped",
            Outcome::Cancelled => "cancelled",
        }
    }

    /// What the outcome means, for a reader of the report.
    pub fn meaning(self) -> &'static str {
        match self {
            Outcome::Ok => "whole body read, every check passed",
            Outcome::CheckFailed => "expected status, but headers or body were not as expected",
            Outcome::HttpStatus => "a status that the scenario does not expect",
            Outcome::RateLimited => {
                "the target asked for less load (429, or 503/529 with Retry-After)"
            }
            Outcome::Timeout => "the step's timeout passed before the whole body was read",
            Outcome::Connect => "no connection: name, refusal, route or TLS",
            Outcome::Reset => "connection reset, or closed before a response began",
            Outcome::Malformed => "the response broke its protocol or a limit",
            Outcome::Incomplete => "the response began and was cut short",
            Outcome::ClientResource => "this machine had no file descriptors, ports or memory left",
            Outcome::Dropped => "due, but never sent",
            Outcome::Cancelled => "ended by the stop of the run",
        }
    }

    /// Whether the request did what the scenario asked for.
    pub fn is_success(self) -> bool {
        self == Outcome::Ok
    }

    /// Whether the request failed: everything but a success and what the run itself ended.
    pub fn is_failure(self) -> bool {
        !matches!(self, Outcome::Ok | Outcome::Cancelled)
    }

    /// Whether the request was sent, or at least tried: everything but what was dropped.
    pub fn was_sent(self) -> bool {
        self != Outcome::Dropped
    }

    /// Position in [`Outcome::ALL`].
    pub fn index(self) -> usize {
        self as usize
    }
}

/// What was measured about one request and its whole response.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// Which step of the scenario.
    pub step: StepId,
    /// Intended start. In the closed model a request is due when it is sent.
    pub scheduled: Offset,
    /// The request was handed to an open connection (or, where none could be opened, tried).
    pub sent: Offset,
    /// How much later than intended this client acted (timers, a crowded processor).
    pub send_lag: Duration,
    /// TCP connect with name resolution, where this request opened a connection.
    pub connect: Option<Duration>,
    /// TLS handshake, where this request opened a connection.
    pub tls: Option<Duration>,
    /// First byte of the response.
    pub first_byte: Option<Offset>,
    /// The whole body was read, or the failure was known.
    pub done: Offset,
    /// Bytes written to and read from the connection, TLS framing not counted.
    pub bytes: Bytes,
    /// How it ended.
    pub outcome: Outcome,
}

/// Bytes of one exchange, or a sum of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Bytes {
    /// Written by gander.
    pub sent: u64,
    /// Read by gander.
    pub received: u64,
}

impl std::ops::AddAssign for Bytes {
    fn add_assign(&mut self, other: Bytes) {
        self.sent += other.sent;
        self.received += other.received;
    }
}
