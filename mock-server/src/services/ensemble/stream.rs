//! An answer as a stream of server-sent events, each as soon as it is known.

use std::convert::Infallible;
use std::pin::Pin;
use std::time::{Duration, Instant};

use axum::body::{Body, Bytes};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use jiff::Timestamp;
use serde::Serialize;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::time::{Interval, MissedTickBehavior, interval_at};

use super::answer::{Answer, Breakdown, Snapshot};
use super::classification::Sensitivity;
use crate::ledger::StreamTimes;

/// Something that happened on the way to an answer.
#[derive(Debug, Clone, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum Event {
    /// The first event.
    Start { question: String, time_scale: f64 },
    /// The question is classified.
    Classification { temporal_sensitivity: Sensitivity, is_eligible: bool },
    /// A snapshot is made; its key changes are not known yet.
    Snapshot { snapshot: Box<Snapshot> },
    /// The work goes on.
    Heartbeat,
    /// The narrative is written.
    Narrative { narrative: String },
    /// One insight.
    Insight { insight: String },
    /// Where the time went.
    Timing { performance_breakdown: Breakdown, total_time_seconds: f64 },
    /// The whole answer, as without a stream: the end marker.
    Complete { result: Box<Answer> },
    /// There is no answer: the last event of a stream that is not whole.
    Error { message: String },
}

/// An event with its time.
#[derive(Serialize)]
struct Stamped<'a> {
    #[serde(flatten)]
    event: &'a Event,
    /// The wall clock: milliseconds since 1970.
    timestamp_ms: i64,
    /// Milliseconds since the request, as the service states times.
    elapsed_ms: f64,
}

/// The work on an answer. Where it ends, so do its events.
pub(super) type Work = Pin<Box<dyn Future<Output = ()> + Send>>;

/// A stream while it is read. Dropped, it drops the work with it.
struct Reading {
    work: Option<Work>,
    events: UnboundedReceiver<Event>,
    heartbeat: Interval,
    times: StreamTimes,
    since: Instant,
    time_scale: f64,
}

/// The events of `work` as they come, and a heartbeat after each `heartbeat` (of real time) without
/// any. The work goes on while the stream is read.
pub(super) fn respond(
    work: Work,
    events: UnboundedReceiver<Event>,
    heartbeat: Duration,
    time_scale: f64,
) -> Response {
    let mut heartbeat = interval_at(tokio::time::Instant::now() + heartbeat, heartbeat);
    heartbeat.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let times = StreamTimes::start();
    let (work, since) = (Some(work), Instant::now());
    let reading = Reading { work, events, heartbeat, times: times.clone(), since, time_scale };
    let chunks = stream::unfold(reading, async |mut reading| {
        let event = reading.next().await?;
        Some((Ok::<Bytes, Infallible>(reading.chunk(&event)), reading))
    });
    let headers = [
        (header::CONTENT_TYPE, "text/event-stream; charset=utf-8"),
        (header::CACHE_CONTROL, "no-cache"),
    ];
    let mut response = (headers, Body::from_stream(chunks)).into_response();
    response.extensions_mut().insert(times);
    response
}

impl Reading {
    /// The next event; none when the work has ended and all of its events are read.
    async fn next(&mut self) -> Option<Event> {
        loop {
            let work = async {
                match &mut self.work {
                    Some(work) => work.await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                event = self.events.recv() => {
                    self.heartbeat.reset();
                    return event;
                }
                // The work holds the sender: without it, the events end.
                () = work => self.work = None,
                _ = self.heartbeat.tick() => return Some(Event::Heartbeat),
            }
        }
    }

    /// The event as it is sent, noted in the times of the stream.
    fn chunk(&self, event: &Event) -> Bytes {
        match event {
            Event::Snapshot { .. } | Event::Narrative { .. } | Event::Insight { .. } => {
                self.times.chunk();
            }
            Event::Complete { .. } => self.times.end(),
            _ => {}
        }
        let stamped = Stamped {
            event,
            timestamp_ms: Timestamp::now().as_millisecond(),
            elapsed_ms: self.since.elapsed().as_secs_f64() / self.time_scale * 1e3,
        };
        let json = serde_json::to_string(&stamped)
            .expect("invariant: events have text keys and finite figures");
        Bytes::from(format!("data: {json}\n\n"))
    }
}
