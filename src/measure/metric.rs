//! The one table of latency metrics: name, formula, which way is better, and how a value is taken from a sample.

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
    /// Intended start to the first chunk with content.
    Ttft,
    /// Request sent to the first chunk with content.
    TtftFromSend,
    /// Intended start to the first chunk with reasoning.
    FirstReasoning,
    /// Between one chunk of a stream and the next.
    InterChunk,
    /// First to last chunk, over the tokens after the first.
    Tpot,
    /// First chunk to whole body, over the tokens after the first: what tools call TPOT whose clock
    /// runs to the end of the stream.
    TpotToEnd,
    /// Request sent to the last chunk, over all tokens: guidellm's TPOT.
    TpotFromSend,
}

/// Which way a figure gets better.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Better {
    /// Less is better: times, failures, costs.
    Lower,
    /// More is better: throughput.
    Higher,
}

impl Metric {
    /// Which way it gets better: every metric here is a time somebody waits.
    pub fn better(self) -> Better {
        Better::Lower
    }

    /// Every metric, in the order in which reports list them.
    pub const ALL: [Metric; 13] = [
        Metric::ResponseTime,
        Metric::ServiceTime,
        Metric::FirstByte,
        Metric::Connect,
        Metric::Tls,
        Metric::SendLag,
        Metric::Ttft,
        Metric::TtftFromSend,
        Metric::FirstReasoning,
        Metric::InterChunk,
        Metric::Tpot,
        Metric::TpotToEnd,
        Metric::TpotFromSend,
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
            Metric::Ttft => "ttft",
            Metric::TtftFromSend => "ttft_from_send",
            Metric::FirstReasoning => "first_reasoning",
            Metric::InterChunk => "inter_chunk",
            Metric::Tpot => "tpot",
            Metric::TpotToEnd => "tpot_to_end",
            Metric::TpotFromSend => "tpot_from_send",
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
            Metric::Ttft => "Time to first token",
            Metric::TtftFromSend => "Time to first token, from the send",
            Metric::FirstReasoning => "Time to first reasoning token",
            Metric::InterChunk => "Inter-chunk latency",
            Metric::Tpot => "Time per output token",
            Metric::TpotToEnd => "Time per output token, to the end of the body",
            Metric::TpotFromSend => "Time per output token, from the send",
        }
    }

    /// The formula, for the report's footnotes.
    pub fn formula(self) -> &'static str {
        match self {
            Metric::ResponseTime => {
                "from the intended start of the request to the last byte of its body; in the closed model a request is due when it is first sent, so that it holds no time for opening that connection, and equals the service time unless the request was made again"
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
            Metric::Ttft => {
                "from the intended start of the request to the first chunk with content; reasoning is not content"
            }
            Metric::TtftFromSend => {
                "from the request handed to an open connection to the first chunk with content"
            }
            Metric::FirstReasoning => {
                "from the intended start of the request to the first chunk with reasoning"
            }
            Metric::InterChunk => {
                "between one chunk of a stream and the next, all gaps of all streams alike; a chunk may hold several tokens"
            }
            Metric::Tpot => {
                "(last chunk - first chunk) / (output tokens - 1), one value a stream, tokens as the server reports them"
            }
            Metric::TpotToEnd => {
                "(end of the body - first chunk) / (output tokens - 1), one value a stream"
            }
            Metric::TpotFromSend => {
                "(last chunk - request sent) / output tokens, one value a stream; the time to the first token is in it"
            }
        }
    }

    /// Gives `take` each value that the sample has.
    pub fn each(self, sample: &Sample, mut take: impl FnMut(Duration)) {
        match (self, &sample.stream) {
            (Metric::InterChunk, Some(stream)) => stream.gaps.iter().copied().for_each(take),
            _ => {
                if let Some(value) = self.of(sample) {
                    take(value);
                }
            }
        }
    }

    /// The sample's one value, where it has one; [`Metric::InterChunk`] has many, and none here.
    pub fn of(self, sample: &Sample) -> Option<Duration> {
        let stream = sample.stream.as_deref();
        // One token has no time between tokens.
        let per_token = |time: Duration, tokens: fn(u64) -> u64| {
            let tokens = tokens(sample.tokens?.output?);
            (tokens > 0).then(|| time.div_f64(tokens as f64))
        };
        match self {
            Metric::ResponseTime => Some(sample.done.since(sample.scheduled)),
            Metric::ServiceTime => {
                sample.outcome.was_sent().then(|| sample.done.since(sample.sent))
            }
            Metric::FirstByte => sample.first_byte.map(|first| first.since(sample.sent)),
            Metric::Connect => sample.connect,
            Metric::Tls => sample.tls,
            Metric::SendLag => sample.outcome.was_sent().then_some(sample.send_lag),
            Metric::Ttft => Some(stream?.first_content?.since(sample.scheduled)),
            Metric::TtftFromSend => Some(stream?.first_content?.since(sample.sent)),
            Metric::FirstReasoning => Some(stream?.first_reasoning?.since(sample.scheduled)),
            Metric::InterChunk => None,
            Metric::Tpot => {
                per_token(stream?.last?.since(stream?.first()?), |tokens| tokens.saturating_sub(1))
            }
            Metric::TpotToEnd => {
                per_token(sample.done.since(stream?.first()?), |tokens| tokens.saturating_sub(1))
            }
            Metric::TpotFromSend => per_token(stream?.last?.since(sample.sent), |tokens| tokens),
        }
    }
}
