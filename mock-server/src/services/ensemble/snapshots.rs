//! One answer for each point in time.

use futures_util::future::join_all;
use tokio::sync::Semaphore;

use super::answer::{Failed, Snapshot, SnapshotTime, data_points};
use super::calls::{Bill, Calls, Purpose};
use super::monitoring::Operation;
use super::prompts;
use super::settings::{Ensemble, Snapshots};
use super::stopwatch::Stopwatch;
use super::stream::Event;
use super::timeline::Point;
use super::watch::Watch;

/// All that making snapshots takes.
#[derive(Clone, Copy)]
pub(super) struct Maker<'a> {
    pub behaviour: &'a Ensemble,
    pub calls: &'a Calls,
    /// Snapshot calls in flight, over all requests; none: any number.
    pub places: Option<&'a Semaphore>,
    pub watch: &'a Watch,
    pub question: &'a str,
    pub model: &'a str,
}

/// What came of it.
pub(super) struct Made<'a> {
    /// In the order of the points; those that failed are left out.
    pub snapshots: Vec<Snapshot>,
    pub failed: Vec<Failed>,
    /// One for each point.
    pub times: Vec<SnapshotTime>,
    pub bill: Bill<'a>,
}

/// One point: the snapshot or what failed, and how long that took.
struct One<'a> {
    outcome: Result<Snapshot, Failed>,
    time: SnapshotTime,
    bill: Bill<'a>,
}

impl<'a> Maker<'a> {
    /// A snapshot for each point, one after another or all at once. One that fails does not keep
    /// the others from being made.
    pub(super) async fn make(self, points: &[Point]) -> Made<'a> {
        let all = match self.behaviour.snapshots {
            Snapshots::Parallel => join_all(points.iter().map(|point| self.one(point))).await,
            Snapshots::Sequential => {
                let mut all = Vec::with_capacity(points.len());
                for point in points {
                    all.push(self.one(point).await);
                }
                all
            }
        };
        let mut made = Made {
            snapshots: Vec::new(),
            failed: Vec::new(),
            times: Vec::new(),
            bill: Bill::new(&self.behaviour.prices),
        };
        for One { outcome, time, bill } in all {
            made.times.push(time);
            made.bill += bill;
            match outcome {
                Ok(snapshot) => made.snapshots.push(snapshot),
                Err(failed) => made.failed.push(failed),
            }
        }
        made
    }

    async fn one(self, point: &Point) -> One<'a> {
        // An error would mean a closed semaphore, and nothing closes it.
        let _place = match self.places {
            Some(places) => places.acquire().await.ok(),
            None => None,
        };
        let mut watch = Stopwatch::start();
        let mut bill = Bill::new(&self.behaviour.prices);
        let chat = prompts::snapshot(self.question, point, self.model);
        let answer = self.calls.chat(Purpose::Snapshot, &chat, &mut bill).await;
        let took = watch.lap();
        self.watch.monitor.record(Operation::SingleSnapshot, took, answer.is_ok());
        let stated = self.behaviour.stated(took);
        let time = SnapshotTime {
            date_label: point.label.clone(),
            ms: stated.as_secs_f64() * 1e3,
            ok: answer.is_ok(),
        };
        let outcome = match answer {
            Ok(completion) => Ok(Snapshot {
                date: point.date.clone(),
                date_label: point.label.clone(),
                data_points: data_points(&completion.content),
                answer: completion.content,
                key_changes: Vec::new(),
                model_used: match completion.model.as_str() {
                    "" => self.model.to_owned(),
                    model => model.to_owned(),
                },
                tokens_used: completion.usage.total_tokens,
                cost_estimate: bill.cost,
                response_time_seconds: stated.as_secs_f64(),
            }),
            Err(error) => Err(Failed {
                component: "snapshot".to_owned(),
                date_label: Some(point.label.clone()),
                error: error.to_string(),
            }),
        };
        if let Ok(snapshot) = &outcome {
            self.watch.tell(|| Event::Snapshot { snapshot: Box::new(snapshot.clone()) });
        }
        One { outcome, time, bill }
    }
}
