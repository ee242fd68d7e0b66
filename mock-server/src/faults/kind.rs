//! The kinds of faults and what each does.

use std::fmt;

use serde::{Deserialize, Serialize};

/// What goes wrong. Written as a status such as `429`, or as a name such as `"half-body"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "super::text::Written", into = "super::text::Written")]
pub enum Kind {
    /// An answer with this status from 400 to 599, in the service's own form of errors.
    Status(u16),
    /// Nobody listens: connections are refused. Befalls the whole service.
    Refused,
    /// The connection is reset in place of an answer.
    Reset,
    /// The connection is closed in the middle of the answer's head.
    HalfHeader,
    /// The connection is closed in the middle of the answer's body.
    HalfBody,
    /// The connection is closed before an answer, or in the second event of a stream.
    EarlyEof,
    /// Half of the answer's body, then nothing, on an open connection.
    Stall,
    /// No answer at all, until the client goes away.
    Hang,
    /// The answer comes `delay` later.
    Slow,
    /// The answer comes in small pieces that take `delay` together.
    SlowDrip,
    /// A connection on which nothing is sent for `delay` while a request waits is closed.
    IdleTimeout,
    /// Status 200 with a body that is no JSON.
    InvalidJson,
    /// Status 200 with the first half of a body, as if that were all.
    Truncated,
    /// Status 200 without a body.
    Empty,
    /// Status 200 without the fields that matter.
    MissingFields,
    /// Status 200 with the content type of a web page.
    WrongContentType,
    /// Status 200 with bytes that are no UTF-8.
    InvalidUtf8,
    /// A stream whose events are damaged, and which ends without its marker.
    BrokenSse,
    /// A refusal of the prompt by a content filter, status 400.
    ContentFilter,
    /// Status 200 with an answer that a content filter has cut short.
    Filtered,
    /// Status 200 with an error: an event of a stream, which ends after it without its marker, or the
    /// whole answer.
    ErrorEvent,
    /// Nothing moves, in either direction. Befalls the whole service.
    Freeze,
    /// The model is not there: work gets 503, and the health check of inference says so. Befalls the
    /// whole service.
    ModelNotLoaded,
}

/// What a fault does to a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// The service does no work and answers with an error.
    Refuse,
    /// Time passes: before, during or instead of an answer.
    Delay,
    /// The service works, and its answer is damaged.
    Damage,
    /// The service works, and its answer is cut short on the socket.
    Cut,
    /// The service itself does otherwise than it should.
    Own,
    /// The whole service is struck, not one request.
    Service,
}

/// Every kind with a name. What is left is a status.
pub(super) const NAMED: [(&str, Kind); 22] = [
    ("refused", Kind::Refused),
    ("reset", Kind::Reset),
    ("half-header", Kind::HalfHeader),
    ("half-body", Kind::HalfBody),
    ("early-eof", Kind::EarlyEof),
    ("stall", Kind::Stall),
    ("hang", Kind::Hang),
    ("slow", Kind::Slow),
    ("slow-drip", Kind::SlowDrip),
    ("idle-timeout", Kind::IdleTimeout),
    ("invalid-json", Kind::InvalidJson),
    ("truncated", Kind::Truncated),
    ("empty", Kind::Empty),
    ("missing-fields", Kind::MissingFields),
    ("wrong-content-type", Kind::WrongContentType),
    ("invalid-utf8", Kind::InvalidUtf8),
    ("broken-sse", Kind::BrokenSse),
    ("content-filter", Kind::ContentFilter),
    ("filtered", Kind::Filtered),
    ("error-event", Kind::ErrorEvent),
    ("freeze", Kind::Freeze),
    ("model-not-loaded", Kind::ModelNotLoaded),
];

impl Kind {
    /// What the fault does.
    pub fn effect(self) -> Effect {
        match self {
            Kind::Status(_) | Kind::ContentFilter => Effect::Refuse,
            Kind::Hang | Kind::Slow | Kind::SlowDrip | Kind::IdleTimeout => Effect::Delay,
            Kind::InvalidJson
            | Kind::Truncated
            | Kind::Empty
            | Kind::MissingFields
            | Kind::WrongContentType
            | Kind::InvalidUtf8
            | Kind::BrokenSse => Effect::Damage,
            Kind::Reset | Kind::HalfHeader | Kind::HalfBody | Kind::EarlyEof | Kind::Stall => {
                Effect::Cut
            }
            Kind::Filtered | Kind::ErrorEvent => Effect::Own,
            Kind::Refused | Kind::Freeze | Kind::ModelNotLoaded => Effect::Service,
        }
    }

    /// Whether the whole service is struck, so that a share of requests has no meaning.
    pub fn is_of_service(self) -> bool {
        self.effect() == Effect::Service
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Kind::Status(status) => write!(f, "{status}"),
            named => match NAMED.iter().find(|(_, kind)| kind == named) {
                Some((name, _)) => f.write_str(name),
                None => write!(f, "{named:?}"),
            },
        }
    }
}
