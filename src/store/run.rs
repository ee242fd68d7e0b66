//! A run as read back from its folder: everything that analysis and reports are made from.

use std::borrow::Cow;

use crate::measure::distribution::Damaged;
use crate::measure::interval::{ErrorKey, ErrorRecord, Interval};
use crate::measure::ledger::Ledger;
use crate::measure::numbers::Numbers;
use crate::measure::resource::{Observed, ResourceSample};
use crate::measure::sample::{Offset, Tokens};
use crate::measure::scrape::Scraped;
use crate::measure::summary::{MeasuredWindow, Merged, Summary};

use super::entry::{End, Event, Resumed, Settled, Start, StoredInterval};

/// Everything recorded in a run.
#[derive(Debug, Clone)]
pub struct Run {
    /// How it began.
    pub start: Start,
    /// Its seconds, in order.
    pub intervals: Vec<StoredInterval>,
    /// Looks at the target and at gander, in order.
    pub resources: Vec<ResourceSample>,
    /// Looks at the target's own numbers, in order.
    pub scraped: Vec<Scraped>,
    /// What a reader should know.
    pub events: Vec<Event>,
    /// Where it went on after it was killed or interrupted, in order.
    pub resumed: Vec<Resumed>,
    /// The target some time after the load; `None` where it was not looked at then.
    pub settled: Option<Settled>,
    /// How it ended; `None` where the run was killed.
    pub end: Option<End>,
    /// Damaged or torn lines at the end of the journal that were left out.
    pub lost_lines: usize,
}

impl Run {
    /// The part from which figures are made. Of a run that was killed: from the end of the
    /// warm-up to the last interval.
    pub fn window(&self) -> MeasuredWindow {
        if let Some(end) = &self.end {
            return end.window;
        }
        let Some(last) = self.intervals.last() else { return MeasuredWindow::default() };
        let start = last.window.start.min(last.end);
        MeasuredWindow { start, end: last.window.end.min(last.end) }
    }

    /// Decoded seconds, one at a time.
    pub fn intervals(&self) -> impl Iterator<Item = Result<Interval, Damaged>> + '_ {
        self.intervals.iter().map(StoredInterval::decode)
    }

    /// Everything recorded in the measured part.
    pub fn merged(&self) -> Result<Merged, Damaged> {
        let mut merged = Merged::default();
        for interval in self.intervals() {
            merged.add(&interval?);
        }
        Ok(merged)
    }

    /// The figures of the measured part.
    pub fn summary(&self) -> Result<Summary, Damaged> {
        Ok(Summary::of(&self.merged()?, self.start.plan.steps.len(), self.window()))
    }

    /// Totals of the whole run.
    pub fn ledger(&self) -> Ledger {
        self.intervals.last().map(|interval| interval.ledger).unwrap_or_default()
    }

    /// Tokens of the whole run, as its responses reported them.
    pub fn tokens(&self) -> Tokens {
        let mut sum = Tokens::default();
        for (_, _, traffic) in self.intervals.iter().flat_map(|interval| &interval.traffic) {
            sum += traffic.tokens;
        }
        sum
    }

    /// When the first user started, or the first arrival could come; `None` where the records end
    /// before.
    pub fn began(&self) -> Option<Offset> {
        let start = self.intervals.last()?.window.start;
        let warm_up = Offset::from(self.start.plan.load.warm_up());
        (start < Offset::NEVER).then(|| Offset(start.0.saturating_sub(warm_up.0)))
    }

    /// Iterations that are done: they ended by themselves, or were dropped.
    pub fn done(&self) -> Numbers {
        self.intervals.last().and_then(|last| last.done.clone()).unwrap_or_default()
    }

    /// Whether the records say which iterations are done. Those of earlier versions do not, and those
    /// of several scenarios at once did not.
    pub fn knows_what_is_done(&self) -> bool {
        let Some(last) = self.intervals.last() else { return true };
        let ledger = &last.ledger;
        let by_itself = ledger.iterations_ok + ledger.iterations_partial + ledger.iterations_failed;
        let done = by_itself + ledger.iterations_dropped;
        last.done.as_ref().is_some_and(|numbers| numbers.count() == done)
    }

    /// The part since which the target is one process: all of it, but for a run that went on with a
    /// target that was started again. Without histograms, and what the target said of itself.
    pub fn of_one_target(&self) -> Cow<'_, Run> {
        let before = [&self.start.plan.target].into_iter();
        let targets = before.chain(self.resumed.iter().map(|resumed| &resumed.target));
        let changes = targets.zip(&self.resumed).filter(|(was, resumed)| **was != resumed.target);
        let Some(since) = changes.last().map(|(_, resumed)| resumed.at) else {
            return Cow::Borrowed(self);
        };
        let window = MeasuredWindow { start: self.window().start.max(since), ..self.window() };
        let inside = self.intervals.iter().filter(|interval| interval.start >= since);
        let intervals =
            inside.map(|interval| StoredInterval { window, ..interval.without_times() });
        let looks = self.resources.iter().filter(|look| look.at >= since);
        Cow::Owned(Run {
            start: self.start.clone(),
            intervals: intervals.collect(),
            resources: looks.copied().collect(),
            scraped: Vec::new(),
            events: Vec::new(),
            resumed: Vec::new(),
            settled: self.settled.clone(),
            end: self.end.clone().map(|end| End { window, ..end }),
            lost_lines: self.lost_lines,
        })
    }

    /// All errors of the whole run, by class.
    pub fn errors(&self) -> std::collections::BTreeMap<ErrorKey, ErrorRecord> {
        let mut all: std::collections::BTreeMap<ErrorKey, ErrorRecord> = Default::default();
        for (key, record) in self.intervals.iter().flat_map(|interval| &interval.errors) {
            all.entry(key.clone())
                .and_modify(|sum| sum.merge(record))
                .or_insert_with(|| record.clone());
        }
        all
    }

    /// The resource series of the target or of gander.
    pub fn resources_of(&self, who: Observed) -> impl Iterator<Item = &ResourceSample> {
        self.resources.iter().filter(move |sample| sample.who == who)
    }
}
