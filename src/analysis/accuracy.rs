//! How far a run's figures are off: gander's own beside those of the reference service's ledger of
//! the same run.
//!
//! Counts must be equal. Of times, the same quantile of both distributions is compared: the time of
//! one request is not known to both sides under one name, so that an error is the difference of two
//! quantiles, not a quantile of differences. The ledger's clock runs from the complete request to the
//! moment at which an answer or a chunk is handed to the connection, gander's from the request handed
//! to the connection to the moment at which it is read: an error holds the wire and the kernel as well
//! as the client.

use std::collections::BTreeMap;

use mock_server::ledger::{Figures as Kept, Route, Snapshot};

use crate::measure::distribution::{Damaged, Distribution};
use crate::measure::metric::Metric;
use crate::measure::sample::{Outcome, Tokens};
use crate::measure::summary::Latency;
use crate::measure::validity::Validity;
use crate::schedule::LoadModel;
use crate::store::run::Run;
use crate::store::selftest::{Applied, Work};

/// A time may be off by this much, in milliseconds, …
pub const ALLOWED_MS: f64 = 1.0;
/// … or by this share of itself, whichever is more.
pub const ALLOWED_SHARE: f64 = 0.01;
/// The 99th percentile of the send lag of open load stays below this, in milliseconds.
pub const SEND_LAG_MS: f64 = 1.0;
/// Arrivals that came may differ from those that were planned by this share.
pub const RATE_SHARE: f64 = 0.005;

/// The route that is driven, as the ledger names it.
const ROUTE: &str = "POST /v1/chat/completions";
/// The status of an answer as it should be.
const OK: u16 = 200;

/// A run, held against the service's ledger.
#[derive(Debug, Clone, PartialEq)]
pub struct Trial {
    /// What was asked for.
    pub work: Work,
    /// How much of it.
    pub load: Applied,
    /// Counts that must be equal.
    pub counts: Vec<Count>,
    /// Times, by metric.
    pub times: Vec<Time>,
    /// How punctual open load was; `None` for closed load, in which nothing is due.
    pub punctuality: Option<Punctuality>,
    /// What gander itself used.
    pub cost: Cost,
    /// Why the run is not valid; none where it is.
    pub reasons: Vec<String>,
}

/// A count on both sides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Count {
    /// Of what: `requests`.
    pub what: &'static str,
    /// gander's.
    pub ours: u64,
    /// The service's.
    pub service: u64,
}

/// A time on both sides.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Time {
    /// Which.
    pub metric: Metric,
    /// Values on our side.
    pub count: u64,
    /// Median.
    pub p50: Pair,
    /// 95th percentile.
    pub p95: Pair,
    /// 99th percentile.
    pub p99: Pair,
}

/// A quantile on both sides, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Pair {
    /// gander's.
    pub ours_ms: f64,
    /// The service's.
    pub service_ms: f64,
}

/// How punctual open load was.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Punctuality {
    /// Arrivals that were due.
    pub due: u64,
    /// Iterations that were begun.
    pub begun: u64,
    /// Iterations that found no place among those in flight.
    pub dropped: u64,
    /// From the moment an arrival was due to the moment its request was started; `None` where there
    /// was no success.
    pub lag: Option<Latency>,
}

/// What gander itself used; `None` where it was not measured.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Cost {
    /// Requests that ended in a second.
    pub rps: Option<f64>,
    /// Processor time of a request with its whole answer or stream, in milliseconds.
    pub cpu_ms: Option<f64>,
    /// Processor time over the time that the worker threads had, from 0 to 1.
    pub busy: Option<f64>,
}

impl Count {
    /// Whether both sides counted the same.
    pub fn is_exact(&self) -> bool {
        self.ours == self.service
    }
}

impl Pair {
    /// Ours less the service's, in milliseconds.
    pub fn error_ms(&self) -> f64 {
        self.ours_ms - self.service_ms
    }

    /// How large the error may be, in milliseconds: [`ALLOWED_MS`] or [`ALLOWED_SHARE`] of the time.
    pub fn allowed_ms(&self) -> f64 {
        ALLOWED_MS.max(self.service_ms * ALLOWED_SHARE)
    }

    /// Whether the error is within what is allowed.
    pub fn holds(&self) -> bool {
        self.error_ms().abs() <= self.allowed_ms()
    }
}

impl Time {
    fn of(metric: Metric, ours: &Distribution, service: &Kept) -> Option<Time> {
        let ours = Latency::of(ours).filter(|_| service.count > 0)?;
        let pair = |ours_ms, service_ms| Pair { ours_ms, service_ms };
        Some(Time {
            metric,
            count: ours.count,
            p50: pair(ours.p50_ms, service.p50_ms),
            p95: pair(ours.p95_ms, service.p95_ms),
            p99: pair(ours.p99_ms, service.p99_ms),
        })
    }

    /// Its name in a line.
    pub fn name(&self) -> &'static str {
        match self.metric {
            Metric::TtftFromSend => "TTFT",
            Metric::InterChunk => "inter-chunk latency",
            _ => "service time",
        }
    }

    /// Its quantiles by name.
    pub fn quantiles(&self) -> [(&'static str, Pair); 3] {
        [("p50", self.p50), ("p95", self.p95), ("p99", self.p99)]
    }

    /// Whether all quantiles are within what is allowed.
    pub fn holds(&self) -> bool {
        self.quantiles().iter().all(|(_, pair)| pair.holds())
    }
}

impl Punctuality {
    /// Whether what came differs from what was due by no more than is allowed.
    pub fn delivers(&self) -> bool {
        let due = self.due as f64;
        // The last arrival may lie on the border.
        (self.begun as f64 - due).abs() <= (due * RATE_SHARE).max(1.0)
    }
}

impl Trial {
    /// Compares `run` with the service's ledger of it. The whole run is compared, whatever its phases:
    /// the ledger knows of none.
    pub fn of(
        run: &Run,
        validity: &Validity,
        service: &Snapshot,
        (work, load): (Work, Applied),
        cost: Cost,
    ) -> Result<Trial, Damaged> {
        let ours = Ours::of(run)?;
        let route = service.routes.get(ROUTE);
        Ok(Trial {
            work,
            load,
            counts: counts(run, &ours, service, route, work),
            times: route.map(|route| times(&ours, route, work)).unwrap_or_default(),
            punctuality: punctuality(run, &ours),
            cost,
            reasons: validity.reasons.clone(),
        })
    }

    /// Whether every count is the service's.
    pub fn is_exact(&self) -> bool {
        self.counts.iter().all(Count::is_exact)
    }

    /// Whether its figures can be relied upon.
    pub fn holds(&self) -> bool {
        self.problems().is_empty()
    }

    /// Everything by which they cannot.
    pub fn problems(&self) -> Vec<String> {
        let mut problems: Vec<String> = self.miscounts().collect();
        for time in &self.times {
            let name = time.name();
            problems.extend(time.quantiles().iter().filter(|(_, pair)| !pair.holds()).map(
                |(quantile, pair)| {
                    let (off, allowed) = (pair.error_ms(), pair.allowed_ms());
                    format!(
                        "{name}: {quantile} is off by {off:+.2} ms, and {allowed:.2} are allowed"
                    )
                },
            ));
        }
        if self.times.len() < metrics(self.work).len() {
            problems.push("a time was measured on one side only, or on none".to_owned());
        }
        if let Some(open) = &self.punctuality {
            problems.extend(late(open));
        }
        problems.extend(self.reasons.iter().map(|reason| format!("the run is invalid: {reason}")));
        problems
    }

    /// Counts that differ, in words.
    pub fn miscounts(&self) -> impl Iterator<Item = String> + '_ {
        self.counts.iter().filter(|count| !count.is_exact()).map(|Count { what, ours, service }| {
            format!("gander counted {ours} {what}, and the service {service}")
        })
    }

    /// The largest error of a 99th percentile, in milliseconds, without its sign.
    pub fn worst_p99_ms(&self) -> Option<f64> {
        self.times.iter().map(|time| time.p99.error_ms().abs()).reduce(f64::max)
    }
}

fn late(open: &Punctuality) -> Vec<String> {
    let mut problems = Vec::new();
    if !open.delivers() {
        let Punctuality { due, begun, .. } = open;
        problems.push(format!("{due} arrivals were due, and {begun} were begun"));
    }
    match &open.lag {
        None => problems.push("no send lag was measured".to_owned()),
        Some(lag) if lag.p99_ms >= SEND_LAG_MS => problems.push(format!(
            "send lag: p99 is {:.2} ms, and less than {SEND_LAG_MS:.2} is allowed",
            lag.p99_ms
        )),
        Some(_) => {}
    }
    problems
}

/// What is compared of each kind of work, and where the ledger keeps it.
type Compared = (Metric, fn(&Route) -> Kept);

fn metrics(work: Work) -> &'static [Compared] {
    const WHOLE: Compared =
        (Metric::ServiceTime, |route| route.statuses.get(&OK).copied().unwrap_or_default());
    match work {
        Work::Answers => &[WHOLE],
        Work::Streams => &[
            (Metric::TtftFromSend, |route| route.streams.first_chunk),
            (Metric::InterChunk, |route| route.streams.gaps),
            WHOLE,
        ],
    }
}

fn times(ours: &Ours, route: &Route, work: Work) -> Vec<Time> {
    let time = |(metric, kept): &Compared| Time::of(*metric, ours.times.get(metric)?, &kept(route));
    metrics(work).iter().filter_map(time).collect()
}

fn counts(
    run: &Run,
    ours: &Ours,
    service: &Snapshot,
    route: Option<&Route>,
    work: Work,
) -> Vec<Count> {
    let ledger = run.ledger();
    let answered = |route: &Route| route.statuses.get(&OK).map_or(0, |figures| figures.count);
    // What found no connection never came to the service.
    let lost = ledger.ended_in(Outcome::Connect) + ledger.ended_in(Outcome::ClientResource);
    let of_route = |count: fn(&Route) -> u64| route.map_or(0, count);
    let count = |what, ours, service| Count { what, ours, service };
    let mut counts = vec![
        count("requests", ledger.sent - lost.min(ledger.sent), service.requests.accepted),
        count("successes", ledger.ended_in(Outcome::Ok), route.map_or(0, answered)),
        count("input tokens", ours.tokens.input.unwrap_or(0), service.tokens.prompt),
        count("output tokens", ours.tokens.output.unwrap_or(0), service.tokens.completion),
    ];
    if work == Work::Streams {
        let streams = ours.times.get(&Metric::TtftFromSend).map_or(0, Distribution::count);
        counts.push(count("whole streams", streams, of_route(|route| route.streams.whole)));
        counts.push(count("chunks", ours.chunks, of_route(|route| route.streams.chunks)));
    }
    counts
}

fn punctuality(run: &Run, ours: &Ours) -> Option<Punctuality> {
    let LoadModel::Open(load) = &run.start.plan.load else { return None };
    let ledger = run.ledger();
    Some(Punctuality {
        due: *load.due_before(load.duration, run.start.plan.seed).end(),
        begun: ledger.iterations_started,
        dropped: ledger.iterations_dropped,
        lag: ours.times.get(&Metric::SendLag).and_then(Latency::of),
    })
}

/// What gander recorded in the whole run.
#[derive(Default)]
struct Ours {
    /// Of successes.
    times: BTreeMap<Metric, Distribution>,
    /// Chunks with content, of whatever stream.
    chunks: u64,
    tokens: Tokens,
}

impl Ours {
    fn of(run: &Run) -> Result<Ours, Damaged> {
        let mut ours = Ours::default();
        for interval in run.intervals() {
            let interval = interval?;
            for (key, distribution) in &interval.distributions {
                // A stream's first chunk has a time to it, each later one a gap before it.
                if matches!(key.metric, Metric::TtftFromSend | Metric::InterChunk) {
                    ours.chunks += distribution.count();
                }
                if key.outcome.is_success() {
                    ours.times.entry(key.metric).or_default().merge(distribution);
                }
            }
            for traffic in interval.traffic.values() {
                ours.tokens += traffic.tokens;
            }
        }
        Ok(ours)
    }
}

/// What all runs of a self-test show together.
#[derive(Debug, Clone, PartialEq)]
pub struct Accuracy {
    /// Runs, in the order in which they were made.
    pub trials: Vec<Trial>,
    /// Whether all runs were made that were planned.
    pub is_whole: bool,
}

/// Up to where figures hold along one kind of load.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Reach {
    /// The largest load up to which every smaller one holds as well; `None` where the smallest does
    /// not.
    pub up_to: Option<f64>,
    /// The smallest load that does not hold, where there is one.
    pub fails_at: Option<f64>,
}

impl Accuracy {
    /// How far figures hold with users; `None` where no run had any.
    pub fn users(&self) -> Option<Reach> {
        self.reach(|load| match load {
            Applied::Users(users) => Some(f64::from(users)),
            Applied::Rate(_) => None,
        })
    }

    /// How far figures hold with arrivals a second; `None` where no run had any.
    pub fn rate(&self) -> Option<Reach> {
        self.reach(|load| match load {
            Applied::Rate(rate) => Some(rate),
            Applied::Users(_) => None,
        })
    }

    fn reach(&self, size: fn(Applied) -> Option<f64>) -> Option<Reach> {
        let sized: Vec<(f64, &Trial)> =
            self.trials.iter().filter_map(|trial| Some((size(trial.load)?, trial))).collect();
        if sized.is_empty() {
            return None;
        }
        let failed = sized.iter().filter(|(_, trial)| !trial.holds()).map(|(size, _)| *size);
        let fails_at = failed.reduce(f64::min);
        let held = sized.iter().map(|(size, _)| *size);
        let held = held.filter(|size| fails_at.is_none_or(|failed| *size < failed));
        Some(Reach { up_to: held.reduce(f64::max), fails_at })
    }

    /// Whether every count of every run is the service's.
    pub fn is_exact(&self) -> bool {
        self.trials.iter().all(Trial::is_exact)
    }

    /// Whether counts are exact, and the smallest load of each kind holds.
    pub fn passes(&self) -> bool {
        let reaches = [self.users(), self.rate()];
        self.is_whole
            && !self.trials.is_empty()
            && self.is_exact()
            && reaches.iter().flatten().all(|reach| reach.up_to.is_some())
    }

    /// The largest error of a 99th percentile among the loads that hold, in milliseconds.
    pub fn worst_p99_ms(&self) -> Option<f64> {
        let limit = |reach: Option<Reach>| reach.and_then(|reach| reach.up_to).unwrap_or(0.0);
        let (users, rate) = (limit(self.users()), limit(self.rate()));
        let holds = |trial: &&Trial| match trial.load {
            Applied::Users(n) => f64::from(n) <= users,
            Applied::Rate(r) => r <= rate,
        };
        self.trials.iter().filter(holds).filter_map(Trial::worst_p99_ms).reduce(f64::max)
    }
}
