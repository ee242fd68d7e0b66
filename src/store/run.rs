//! A run as read back from its folder: everything that analysis and reports are made from.

use crate::measure::distribution::Damaged;
use crate::measure::interval::{ErrorKey, ErrorRecord, Interval};
use crate::measure::ledger::Ledger;
use crate::measure::resource::{Observed, ResourceSample};
use crate::measure::sample::Tokens;
use crate::measure::scrape::Scraped;
use crate::measure::summary::{MeasuredWindow, Merged, Summary};

use super::entry::{End, Event, Start, StoredInterval};

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
