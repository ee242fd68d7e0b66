//! A run over time: what the charts are drawn from.

use std::collections::BTreeMap;

use crate::measure::distribution::{Damaged, Distribution};
use crate::measure::interval::Phase;
use crate::measure::metric::Metric;
use crate::measure::summary::ms;
use crate::store::entry::StoredInterval;
use crate::store::run::Run;

/// More bins than this cannot be told apart in a chart.
const MOST_BINS: f64 = 300.0;
/// Lengths of a bin, in seconds.
const WIDTHS: [f64; 11] = [1., 2., 5., 10., 15., 30., 60., 120., 300., 600., 1800.];
/// A last interval shorter than this gives no rate worth drawing, and joins the bin before.
const SHORTEST_SECONDS: f64 = 0.5;

/// A run in equal stretches of time.
#[derive(Debug, Clone, PartialEq)]
pub struct Timeline {
    /// Length of a bin in seconds.
    pub width: f64,
    /// Bins without gaps, from the run's start.
    pub bins: Vec<Bin>,
    /// Requests that ended, by the part of the run in which they were due.
    pub ended: BTreeMap<Phase, u64>,
}

/// A stretch of time.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Bin {
    /// Begin, in seconds since the run's start.
    pub from: f64,
    /// End.
    pub to: f64,
    /// How much of it was recorded, in seconds; zero where the records have a gap.
    pub recorded: f64,
    /// The most users that were active in it.
    pub users: u32,
    /// Successes that ended in it.
    pub ok: u64,
    /// Failures that ended in it.
    pub failed: u64,
    /// Response time of the successes.
    pub latency: Option<BinLatency>,
    /// Successful streams with content that ended in it.
    pub streams: u64,
    /// Their time to the first token.
    pub ttft: Option<BinLatency>,
}

/// A time of the successes of a bin, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq)]
#[allow(missing_docs, reason = "the names say it")]
pub struct BinLatency {
    pub p50_ms: f64,
    pub p95_ms: f64,
    pub p99_ms: f64,
}

impl Bin {
    /// `count` a second; `None` where nothing was recorded.
    pub fn rate(&self, count: u64) -> Option<f64> {
        (self.recorded > 0.0).then(|| count as f64 / self.recorded)
    }

    fn is_recorded(&self) -> bool {
        self.recorded > 0.0
    }

    fn add(
        &mut self,
        interval: &StoredInterval,
        users_before: u32,
        times: &mut Times,
    ) -> Result<(), Damaged> {
        self.to = interval.end.as_secs_f64();
        self.recorded += interval.end.since(interval.start).as_secs_f64();
        self.users = self.users.max(users_before).max(interval.users);
        for (key, stored) in interval.response_times() {
            if key.outcome.is_success() {
                self.ok += stored.count;
                times.response.merge(&stored.decode()?);
            } else if key.outcome.is_failure() {
                self.failed += stored.count;
            }
        }
        for (_, stored) in interval.times(Metric::Ttft).filter(|(key, _)| key.outcome.is_success())
        {
            self.streams += stored.count;
            times.ttft.merge(&stored.decode()?);
        }
        Ok(())
    }

    fn close(&mut self, times: &mut Times) {
        self.latency = BinLatency::of(&times.response);
        self.ttft = BinLatency::of(&times.ttft);
        times.response.clear();
        times.ttft.clear();
    }
}

impl BinLatency {
    fn of(times: &Distribution) -> Option<BinLatency> {
        let quantile = |q| times.quantile(q).map(ms);
        Some(BinLatency {
            p50_ms: quantile(0.50)?,
            p95_ms: quantile(0.95)?,
            p99_ms: quantile(0.99)?,
        })
    }
}

/// Times of the successes of the bin that is open.
#[derive(Debug, Default)]
struct Times {
    response: Distribution,
    ttft: Distribution,
}

impl Timeline {
    /// Decodes what it needs of `run`, one histogram at a time.
    pub fn of(run: &Run) -> Result<Timeline, Damaged> {
        let end = run.intervals.last().map_or(0.0, |last| last.end.as_secs_f64());
        let is_wide_enough = |width: &&f64| end / **width <= MOST_BINS;
        let width = *WIDTHS.iter().find(is_wide_enough).unwrap_or(&3600.0);
        let mut timeline = Timeline { width, bins: Vec::new(), ended: BTreeMap::new() };
        let mut times = Times::default();
        let mut users_before = 0;
        for (index, interval) in run.intervals.iter().enumerate() {
            // What was dropped never began, and so did not end.
            for (key, stored) in interval.response_times().filter(|(key, _)| key.outcome.was_sent())
            {
                *timeline.ended.entry(key.phase).or_default() += stored.count;
            }
            let (from, to) = (interval.start.as_secs_f64(), interval.end.as_secs_f64());
            let is_remnant = index + 1 == run.intervals.len() && to - from < SHORTEST_SECONDS;
            let bin = ((from + to) / 2.0 / width) as usize;
            if bin >= timeline.bins.len() && !(is_remnant && timeline.ends_recorded()) {
                timeline.open(bin, &mut times);
            }
            if let Some(last) = timeline.bins.last_mut() {
                last.add(interval, users_before, &mut times)?;
            }
            users_before = interval.users;
        }
        timeline.close(&mut times);
        Ok(timeline)
    }

    fn ends_recorded(&self) -> bool {
        self.bins.last().is_some_and(Bin::is_recorded)
    }

    /// Closes the last bin and appends bins up to number `bin`.
    fn open(&mut self, bin: usize, times: &mut Times) {
        self.close(times);
        for index in self.bins.len()..=bin {
            let from = index as f64 * self.width;
            self.bins.push(Bin { from, to: from + self.width, ..Bin::default() });
        }
    }

    fn close(&mut self, times: &mut Times) {
        if let Some(last) = self.bins.last_mut() {
            last.close(times);
        }
    }

    /// End of the last bin, in seconds since the run's start.
    pub fn end(&self) -> f64 {
        self.bins.last().map_or(0.0, |bin| bin.to)
    }
}
