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
    /// Due, but never sent: its template could not be filled in, or it found no place in flight.
    Dropped,
    /// Ended by the stop of the run.
    Cancelled,
    /// An attempt that failed and was followed by another: its request counts where the last one ends.
    Retried,
}

impl Outcome {
    /// Every outcome, in the order in which reports list them.
    pub const ALL: [Outcome; 13] = [
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
        Outcome::Retried,
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
            Outcome::Retried => "retried",
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
            Outcome::Retried => "an attempt that failed, and was made again",
        }
    }

    /// Whether the request did what the scenario asked for.
    pub fn is_success(self) -> bool {
        self == Outcome::Ok
    }

    /// Whether the request failed: everything but a success, what the run itself ended, and an
    /// attempt that was made again.
    pub fn is_failure(self) -> bool {
        !matches!(self, Outcome::Ok | Outcome::Cancelled | Outcome::Retried)
    }

    /// Whether a request came to its end by itself, well or not: what is neither cut off by the stop
    /// of the run nor made again.
    pub fn is_final(self) -> bool {
        self.is_success() || self.is_failure()
    }

    /// Whether something went wrong that is worth an example: failures, and attempts made again.
    pub fn is_error(self) -> bool {
        self.is_failure() || self == Outcome::Retried
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
    /// When the chunks of its stream came, where the step asks for one.
    pub stream: Option<Box<StreamTimes>>,
    /// Tokens as the server reported them, where it did.
    pub tokens: Option<Tokens>,
    /// Whether it kept its step's goodput limits; `None` where the step has none.
    pub good: Option<bool>,
}

/// When the chunks of one stream came. A chunk is an event that carries content or reasoning.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct StreamTimes {
    /// First chunk with content.
    pub first_content: Option<Offset>,
    /// First chunk with reasoning.
    pub first_reasoning: Option<Offset>,
    /// Last chunk of either kind.
    pub last: Option<Offset>,
    /// Times between one chunk and the next; chunks that came in one read are 0 apart.
    pub gaps: Vec<Duration>,
}

impl StreamTimes {
    /// Adds a chunk that came at `at`, with content, reasoning or both.
    pub fn chunk(&mut self, at: Offset, content: bool, reasoning: bool) {
        if let Some(before) = self.last {
            self.gaps.push(at.since(before));
        }
        self.last = Some(at);
        if content {
            self.first_content.get_or_insert(at);
        }
        if reasoning {
            self.first_reasoning.get_or_insert(at);
        }
    }

    /// First chunk of either kind.
    pub fn first(&self) -> Option<Offset> {
        self.first_content.into_iter().chain(self.first_reasoning).min()
    }
}

/// Tokens of one request, or a sum of them, as servers reported them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Tokens {
    /// Requests whose response reported its tokens.
    pub reported: u64,
    /// Tokens of prompts; `None`, here and below, where none of the requests reported this kind.
    pub input: Option<u64>,
    /// Those of the prompts' tokens that came from the server's cache.
    pub cached: Option<u64>,
    /// Tokens of completions.
    pub output: Option<u64>,
    /// Those of the completions' tokens that were reasoning.
    pub reasoning: Option<u64>,
    /// Requests whose tokens have a price.
    pub priced: u64,
    /// What these cost, in millionths of a millionth of the currency.
    pub cost_pico: u64,
}

impl Tokens {
    /// Tokens of prompts and completions, as far as they were reported.
    pub fn known(&self) -> u64 {
        self.input.unwrap_or(0).saturating_add(self.output.unwrap_or(0))
    }

    /// What the requests that have a price cost, in the currency; `None` where none has one.
    pub fn cost(&self) -> Option<f64> {
        (self.priced > 0).then(|| self.cost_pico as f64 / 1e12)
    }
}

impl std::ops::AddAssign for Tokens {
    /// Saturates: a target may report any number.
    fn add_assign(&mut self, other: Tokens) {
        self.reported = self.reported.saturating_add(other.reported);
        self.input = sum_of_known(self.input, other.input);
        self.cached = sum_of_known(self.cached, other.cached);
        self.output = sum_of_known(self.output, other.output);
        self.reasoning = sum_of_known(self.reasoning, other.reasoning);
        self.priced = self.priced.saturating_add(other.priced);
        self.cost_pico = self.cost_pico.saturating_add(other.cost_pico);
    }
}

/// The sum of what is known; `None` where nothing is.
pub fn sum_of_known(a: Option<u64>, b: Option<u64>) -> Option<u64> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.saturating_add(b)),
        (one, other) => one.or(other),
    }
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
