//! From a question to its answer: classification, cache, snapshots, key changes, narrative.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::Semaphore;

use super::answer::{Answer, Breakdown, Failed, Snapshot};
use super::cache::{Cache, Key};
use super::calls::{Bill, Calls};
use super::classification::{Sensitivity, sensitivity};
use super::key_changes;
use super::monitoring::Operation;
use super::narrative;
use super::prompts::Dated;
use super::request::Ask;
use super::settings::{Ensemble, Outage};
use super::snapshots::{Made, Maker};
use super::stopwatch::Stopwatch;
use super::stream::Event;
use super::timeline::{self, Point};
use super::watch::Watch;
use crate::ledger::{Ledger, Tokens};

/// What all requests share.
pub(super) struct Pipeline {
    pub behaviour: Ensemble,
    pub calls: Calls,
    pub cache: Cache,
    /// Snapshot calls in flight, over all requests; none: any number.
    places: Option<Semaphore>,
    ledger: Arc<Ledger>,
}

/// A request that was carried out.
pub(super) struct Done {
    /// The answer, or why there is none.
    pub result: Result<Answer, Down>,
    /// Snapshots made for it: none where it came from the cache.
    pub made: u32,
    pub calls: u64,
    pub tokens: Tokens,
}

/// Every snapshot failed, and the settings say that this is an error.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(super) struct Down(String);

impl Pipeline {
    pub(super) fn new(behaviour: Ensemble, ledger: &Arc<Ledger>) -> std::io::Result<Pipeline> {
        Ok(Pipeline {
            calls: Calls::new(&behaviour, ledger)?,
            cache: Cache::new(&behaviour, ledger)?,
            places: (behaviour.semaphore > 0).then(|| Semaphore::new(behaviour.semaphore)),
            ledger: Arc::clone(ledger),
            behaviour,
        })
    }

    /// Answers. `own` is the time that the service itself adds. Given up in the middle, its calls
    /// are cancelled, and the monitor gets no total.
    pub(super) async fn run(&self, ask: &Ask, own: Duration, watch: &Watch) -> Done {
        let mut run = Run::new(self, ask, watch);
        if !own.is_zero() {
            tokio::time::sleep(own).await;
        }
        run.overhead();
        let result = run.answer().await;
        let is_good = match &result {
            Ok(answer) => answer.skip_reason.is_none() || !run.is_eligible,
            Err(_) => false,
        };
        watch.monitor.record(Operation::TimeTravelTotal, run.stopwatch.total(), is_good);
        self.ledger.count(&[
            ("snapshots_made", run.made.into()),
            ("prompt_tokens", run.bill.tokens.prompt),
            ("completion_tokens", run.bill.tokens.completion),
        ]);
        match &result {
            Ok(answer) => {
                watch.tell(|| Event::Timing {
                    performance_breakdown: answer.performance_breakdown.clone(),
                    total_time_seconds: answer.total_time_seconds,
                });
                watch.tell(|| Event::Complete { result: Box::new(answer.clone()) });
            }
            Err(down) => watch.tell(|| Event::Error { message: down.to_string() }),
        }
        Done { result, made: run.made, calls: run.bill.calls, tokens: run.bill.tokens }
    }
}

/// One request on its way through the pipeline.
struct Run<'a> {
    pipeline: &'a Pipeline,
    behaviour: &'a Ensemble,
    ask: &'a Ask,
    model: &'a str,
    watch: &'a Watch,
    stopwatch: Stopwatch,
    breakdown: Breakdown,
    bill: Bill<'a>,
    errors: Vec<Failed>,
    is_eligible: bool,
    made: u32,
}

impl<'a> Run<'a> {
    fn new(pipeline: &'a Pipeline, ask: &'a Ask, watch: &'a Watch) -> Run<'a> {
        let behaviour = &pipeline.behaviour;
        watch.tell(|| Event::Start {
            question: ask.question.clone(),
            time_scale: behaviour.time_scale,
        });
        Run {
            pipeline,
            behaviour,
            ask,
            model: ask.model.as_deref().unwrap_or(&behaviour.model),
            watch,
            stopwatch: Stopwatch::start(),
            breakdown: Breakdown::default(),
            bill: Bill::new(&behaviour.prices),
            errors: Vec::new(),
            is_eligible: false,
            made: 0,
        }
    }

    async fn answer(&mut self) -> Result<Answer, Down> {
        let sensitivity = self.classify();
        if !self.is_eligible {
            let reason = "The answer does not depend on when the question is asked; \
                          force_time_travel asks for snapshots all the same.";
            return Ok(self.skipped(sensitivity, reason.to_owned()));
        }
        let points = timeline::points(self.ask.max_snapshots);
        let key = Key::new(&self.ask.question, self.model, points.len(), self.behaviour);
        if let Some(kept) = self.look_up(&key).await {
            return Ok(self.again(kept));
        }
        let snapshots = self.snapshots(&points).await;
        if snapshots.is_empty() {
            return self.outage(sensitivity);
        }
        let answer = self.finish(sensitivity, snapshots).await;
        if self.errors.is_empty() {
            let ttl = match sensitivity {
                Sensitivity::Low => self.behaviour.stable_ttl,
                Sensitivity::High | Sensitivity::Medium => self.behaviour.changing_ttl,
            };
            self.pipeline.cache.put(&key, &answer, ttl).await;
        }
        Ok(self.timed(answer))
    }

    fn classify(&mut self) -> Sensitivity {
        let sensitivity = sensitivity(&self.ask.question);
        self.is_eligible = self.ask.force_time_travel || sensitivity != Sensitivity::Low;
        let took = self.stopwatch.lap();
        self.breakdown.classification_ms = self.ms(took);
        self.watch.monitor.record(Operation::Classification, took, true);
        let is_eligible = self.is_eligible;
        self.watch
            .tell(|| Event::Classification { temporal_sensitivity: sensitivity, is_eligible });
        sensitivity
    }

    /// Without a cache, a look-up finds nothing in next to no time. It is recorded all the same.
    async fn look_up(&mut self, key: &Key) -> Option<Answer> {
        let found = self.pipeline.cache.get(key).await;
        let took = self.stopwatch.lap();
        self.breakdown.cache_lookup_ms = self.ms(took);
        self.watch.monitor.record(Operation::CacheLookup, took, found.is_ok());
        found.ok().flatten()
    }

    async fn snapshots(&mut self, points: &[Point]) -> Vec<Snapshot> {
        let maker = Maker {
            behaviour: self.behaviour,
            calls: &self.pipeline.calls,
            places: self.pipeline.places.as_ref(),
            watch: self.watch,
            question: &self.ask.question,
            model: self.model,
        };
        let Made { snapshots, failed, times, bill } = maker.make(points).await;
        let took = self.stopwatch.lap();
        self.breakdown.snapshot_generation_ms = self.ms(took);
        self.breakdown.snapshots = times;
        self.made = snapshots.len() as u32;
        self.bill += bill;
        self.errors.extend(failed);
        let is_good = !snapshots.is_empty();
        self.watch.monitor.record(Operation::SnapshotGeneration, took, is_good);
        snapshots
    }

    /// Key changes and narrative. Where one of them fails, the answer does without.
    async fn finish(&mut self, sensitivity: Sensitivity, mut snapshots: Vec<Snapshot>) -> Answer {
        let (behaviour, calls) = (self.behaviour, &self.pipeline.calls);
        if snapshots.len() > 1 {
            let bill = &mut self.bill;
            let failed =
                key_changes::enter(behaviour, calls, self.model, &mut snapshots, bill).await;
            let took = self.stopwatch.lap();
            self.breakdown.key_changes_ms = self.ms(took);
            self.watch.monitor.record(Operation::KeyChanges, took, failed.is_empty());
            self.errors.extend(failed);
        }

        let dated: Vec<Dated<'_>> =
            snapshots.iter().map(|s| (s.date_label.as_str(), s.answer.as_str())).collect();
        let changes = snapshots.iter().map(|snapshot| snapshot.key_changes.len()).sum();
        let question = &self.ask.question;
        let narrative =
            narrative::ask(calls, self.model, question, &dated, changes, &mut self.bill).await;
        let took = self.stopwatch.lap();
        self.breakdown.narrative_ms = self.ms(took);
        self.watch.monitor.record(Operation::EvolutionNarrative, took, narrative.is_ok());

        let mut answer = self.empty(sensitivity);
        answer.snapshots = snapshots;
        match narrative {
            Ok(narrative) => {
                self.watch.tell(|| Event::Narrative { narrative: narrative.text.clone() });
                for insight in &narrative.insights {
                    self.watch.tell(|| Event::Insight { insight: insight.clone() });
                }
                answer.evolution_narrative = Some(narrative.text);
                answer.insights = narrative.insights;
                answer.change_velocity = Some(narrative.change_velocity);
                answer.future_outlook = Some(narrative.future_outlook);
            }
            Err(error) => self.errors.push(Failed {
                component: "narrative".to_owned(),
                date_label: None,
                error: error.to_string(),
            }),
        }
        answer
    }

    /// The answer that was given before, to a question that is the same. A stream gets the same events.
    fn again(&mut self, kept: Answer) -> Answer {
        for snapshot in &kept.snapshots {
            self.watch.tell(|| Event::Snapshot { snapshot: Box::new(snapshot.clone()) });
        }
        if let Some(narrative) = &kept.evolution_narrative {
            self.watch.tell(|| Event::Narrative { narrative: narrative.clone() });
        }
        for insight in &kept.insights {
            self.watch.tell(|| Event::Insight { insight: insight.clone() });
        }
        let question = self.ask.question.clone();
        self.timed(Answer { question, cached: true, ..kept })
    }

    fn outage(&mut self, sensitivity: Sensitivity) -> Result<Answer, Down> {
        let first = self.errors.first().map_or("", |failed| failed.error.as_str());
        let reason = format!("No snapshot could be made: {first}");
        match self.behaviour.outage {
            Outage::NotEligible => Ok(self.skipped(sensitivity, reason)),
            Outage::Unavailable => {
                self.overhead();
                Err(Down(reason))
            }
        }
    }

    fn skipped(&mut self, sensitivity: Sensitivity, reason: String) -> Answer {
        let mut answer = self.empty(sensitivity);
        answer.is_eligible = false;
        answer.skip_reason = Some(reason);
        self.timed(answer)
    }

    /// An eligible answer that says nothing yet.
    fn empty(&self, sensitivity: Sensitivity) -> Answer {
        Answer {
            question: self.ask.question.clone(),
            temporal_sensitivity: sensitivity,
            is_eligible: true,
            skip_reason: None,
            snapshots: Vec::new(),
            evolution_narrative: None,
            insights: Vec::new(),
            change_velocity: None,
            future_outlook: None,
            total_cost: 0.0,
            total_time_seconds: 0.0,
            timestamp: String::new(),
            performance_breakdown: Breakdown::default(),
            errors: Vec::new(),
            cached: false,
            time_scale: self.behaviour.time_scale,
        }
    }

    /// The answer with its time, its price and what failed: the last step.
    fn timed(&mut self, mut answer: Answer) -> Answer {
        self.overhead();
        let total = self.behaviour.stated(self.stopwatch.total());
        self.breakdown.total_ms = total.as_secs_f64() * 1e3;
        answer.total_time_seconds = total.as_secs_f64();
        answer.total_cost = self.bill.cost;
        answer.timestamp = Timestamp::now().to_string();
        answer.time_scale = self.behaviour.time_scale;
        answer.performance_breakdown = std::mem::take(&mut self.breakdown);
        answer.errors = std::mem::take(&mut self.errors);
        answer
    }

    /// What passed since the last component is the service's own.
    fn overhead(&mut self) {
        let took = self.stopwatch.lap();
        self.breakdown.overhead_ms += self.ms(took);
    }

    fn ms(&self, measured: Duration) -> f64 {
        self.behaviour.stated(measured).as_secs_f64() * 1e3
    }
}
