//! The one table of latency metrics: name, formula, and how a value is taken from a sample.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::sample::Sample;

/// A latency that is recorded for each request that has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Metric {
    /// Intended start to whole body.
    ResponseTime,
    /// Request sent to whole body.
    ServiceTime,
    /// Request sent to first byte of the response.
    FirstByte,
    /// TCP connect, name resolution included.
    Connect,
    /// TLS handshake.
    Tls,
    /// How late this client was.
    SendLag,
}

impl Metric {
    /// Every metric, in the order in which reports list them.
    pub const ALL: [Metric; 6] = [
        Metric::ResponseTime,
        Metric::ServiceTime,
        Metric::FirstByte,
        Metric::Connect,
        Metric::Tls,
        Metric::SendLag,
    ];

    /// The name in files.
    pub fn name(self) -> &'static str {
        match self {
            Metric::ResponseTime => "response_time",
            Metric::ServiceTime => "service_time",
            Metric::FirstByte => "first_byte",
            Metric::Connect => "connect",
            Metric::Tls => "tls",
            Metric::SendLag => "send_lag",
        }
    }

    /// The name in reports.
    pub fn label(self) -> &'static str {
        match self {
            Metric::ResponseTime => "Response time",
            Metric::ServiceTime => "Service time",
            Metric::FirstByte => "Time to first byte",
            Metric::Connect => "Connect",
            Metric::Tls => "TLS handshake",
            Metric::SendLag => "Send lag",
        }
    }

    /// The formula, for the report's footnotes.
    pub fn formula(self) -> &'static str {
        match self {
            Metric::ResponseTime => {
                "from the intended start of the request to the last byte of its body; in the closed model a request is due when it is sent, so that it equals the service time and holds no time for opening connections"
            }
            Metric::ServiceTime => {
                "from the request handed to an open connection to the last byte of its body; opening a connection is not in it"
            }
            Metric::FirstByte => {
                "from the request handed to an open connection to the first byte of the response"
            }
            Metric::Connect => {
                "TCP connect with name resolution, for the requests of the whole run that opened a connection, failed ones included, those cut off by the stop of the run not"
            }
            Metric::Tls => {
                "TLS handshake, for the requests of the whole run that opened a connection, failed ones included, those cut off by the stop of the run not"
            }
            Metric::SendLag => {
                "from the moment a request should have started to the moment gander started it"
            }
        }
    }

    /// The sample's value, where it has one.
    pub fn of(self, sample: &Sample) -> Option<Duration> {
        match self {
            Metric::ResponseTime => Some(sample.done.since(sample.scheduled)),
            Metric::ServiceTime => {
                sample.outcome.was_sent().then(|| sample.done.since(sample.sent))
            }
            Metric::FirstByte => sample.first_byte.map(|first| first.since(sample.sent)),
            Metric::Connect => sample.connect,
            Metric::Tls => sample.tls,
            Metric::SendLag => sample.outcome.was_sent().then_some(sample.send_lag),
        }
    }
}
