//! What becomes of an iteration: how it ends, and the rows that are counted for it.

use crate::measure::recorder::{IterationEnd, Recorder};
use crate::measure::rows::{Effort, EndedIteration, Row, RowFailure};
use crate::measure::sample::{Offset, Outcome, StepId};
use crate::scenario::Scenario;
use crate::scenario::answer::{Harvest, RowResult};

use super::attempt::Ended;
use super::fan::Results;

/// Failed requests of a row that its example names.
const NAMED: usize = 3;
/// Characters of why a row of a response failed.
const LONGEST_REASON: usize = 120;
/// Characters of all that it says of it.
const LONGEST_DETAIL: usize = 400;

/// The class of a data row that no response had.
const MISSING: &str = "missing in the response";

/// Whether the iteration goes on.
pub(super) enum Turn {
    /// With what the step gave, in order.
    On(Vec<Harvest>),
    /// It is over.
    End,
}

/// How an iteration has gone so far.
pub(super) struct Course<'a> {
    scenario: &'a Scenario,
    due: Offset,
    /// The iteration's number.
    number: u64,
    /// Data rows that the iteration stands for.
    rows: u64,
    end: IterationEnd,
    effort: Effort,
    /// What of it is not counted with rows of a response.
    left: Effort,
    ok: Effort,
    /// Failed requests.
    failed: u64,
    slowest_ns: u64,
    /// Class and example of the first failure, which ended it where it could not go on without.
    failure: Option<(String, String)>,
    /// Rows that responses carried, where any did: then these are counted, and the iteration is none.
    carried: Option<Vec<Carried>>,
}

/// A row that a response carried. It is counted when the iteration ends, for where gander is killed
/// before, the whole iteration is done again.
struct Carried {
    due: Offset,
    done: Offset,
    effort: Effort,
    /// Class and example, where it failed.
    failure: Option<(String, String)>,
}

impl Carried {
    fn row(&self) -> Row<'_> {
        let failure = self.failure.as_ref();
        Row {
            end: if failure.is_some() { IterationEnd::Failed } else { IterationEnd::Ok },
            due: self.due,
            done: self.done,
            effort: self.effort,
            failure: failure.map(|(class, example)| RowFailure { class, example }),
        }
    }
}

impl<'a> Course<'a> {
    /// An iteration with this number that begins, due at `due`, and stands for so many data rows.
    pub fn new(scenario: &'a Scenario, due: Offset, number: u64, rows: u64) -> Course<'a> {
        Course {
            scenario,
            due,
            number,
            rows,
            end: IterationEnd::Ok,
            effort: Effort::default(),
            left: Effort::default(),
            ok: Effort::default(),
            failed: 0,
            slowest_ns: 0,
            failure: None,
            carried: None,
        }
    }

    /// Requests made so far.
    pub fn requests(&self) -> u64 {
        self.effort.requests
    }

    /// The run ends it.
    pub fn cancel(&mut self) {
        self.end = IterationEnd::Cancelled;
    }

    /// Takes the results of the step `id`.
    pub fn take(&mut self, id: StepId, results: Results) -> Turn {
        let step = self.scenario.step(id);
        for (_, request) in &results.ended {
            self.count(request);
        }
        let all = results.ended.len();
        let failed: Vec<&(String, Ended)> =
            results.ended.iter().filter(|(_, r)| r.sample.outcome.is_failure()).collect();
        let is_cancelled = results.is_cut_off
            || results.ended.iter().any(|(_, r)| r.sample.outcome == Outcome::Cancelled);
        let must_all = step.fan_out.as_ref().is_none_or(|fan_out| fan_out.all_or_nothing);
        if let Some(first) = failed.first() {
            let succeeded = results.ended.iter().filter(|(_, r)| r.sample.outcome.is_success());
            let of = (succeeded.count(), all);
            // What is cut off might have succeeded.
            let is_failed = must_all || (failed.len() == all && !is_cancelled);
            self.failed += failed.len() as u64;
            if is_failed || self.failure.is_none() {
                self.failure = Some(describe(&step.name, of, &failed, first));
            }
            if is_failed {
                self.end = IterationEnd::Failed;
                return Turn::End;
            }
        }
        if is_cancelled {
            self.cancel();
            return Turn::End;
        }
        if !failed.is_empty() {
            self.end = IterationEnd::Partial;
        }
        Turn::On(results.ended.into_iter().filter_map(|(_, request)| request.harvest).collect())
    }

    fn count(&mut self, request: &Ended) {
        let sample = &request.sample;
        if request.attempts == 0 && sample.outcome == Outcome::Cancelled {
            // The budget was used up: it was never due.
            return;
        }
        let effort = Effort { requests: 1, attempts: request.attempts, ..Effort::default() };
        self.effort += effort;
        let rows = request.rows.as_deref().unwrap_or_default();
        if rows.is_empty() {
            self.left += effort;
        }
        // What gave rows is not wasted, whatever becomes of the rest.
        if sample.outcome.is_success() && rows.is_empty() {
            self.ok.wasted_requests += 1;
            self.ok.wasted_tokens += sample.tokens.unwrap_or_default();
        }
        let took = sample.done.since(sample.scheduled);
        self.slowest_ns = self.slowest_ns.max(Offset::from(took).0);
        if request.rows.is_some() {
            self.carried.get_or_insert_default();
        }
        // The request is counted once, with the first of its rows.
        let mut effort = effort;
        for row in rows {
            let said = match row {
                RowResult::Ok => None,
                RowResult::Failed { why, detail } => {
                    Some((self.said(why, LONGEST_REASON), self.said(detail, LONGEST_DETAIL)))
                }
            };
            self.carried.get_or_insert_default().push(Carried {
                due: sample.scheduled,
                done: sample.done,
                effort: Effort { in_responses: 1, ..std::mem::take(&mut effort) },
                failure: said,
            });
        }
    }

    /// What a row of a response says about its failure: in one line of bounded length, without
    /// secrets that the target may have sent back.
    fn said(&self, text: &str, longest: usize) -> String {
        let redacted = self.scenario.redactions().redact(text);
        let words = redacted.split_whitespace().collect::<Vec<_>>().join(" ");
        words.chars().take(longest).collect()
    }

    /// Records the iteration, which has ended at `done`, and says how. Where responses carried rows,
    /// only those data rows are left that none of them had; and where there are no data rows, a row
    /// for each request that failed: nobody knows how many it would have brought.
    pub fn finish(mut self, done: Offset, recorder: &Recorder) -> IterationEnd {
        let (mut left, mut end) = (self.rows, self.end);
        match &self.carried {
            Some(carried) if self.scenario.rows.is_some() => {
                let carried = carried.len() as u64;
                left = left.saturating_sub(carried);
                if end != IterationEnd::Cancelled {
                    end = IterationEnd::Failed;
                    let example = format!("{carried} of {} rows were in the response", self.rows);
                    self.failure.get_or_insert((MISSING.to_owned(), example));
                }
            }
            Some(_) => (left, end) = (self.failed, IterationEnd::Failed),
            None => {}
        }
        let mut effort = self.left;
        if self.end == IterationEnd::Failed {
            effort.wasted_requests = self.ok.wasted_requests;
            effort.wasted_tokens = self.ok.wasted_tokens;
        }
        if self.carried.is_none() && effort.requests > 1 {
            effort.slowest_ns = self.slowest_ns;
            effort.of_ns = Offset::from(done.since(self.due)).0;
        }
        // Elements of data rows may be secrets.
        let failure =
            self.failure.filter(|_| end == IterationEnd::Failed).map(|(class, example)| {
                (class, self.scenario.redactions().redact(&example).into_owned())
            });
        let failure = failure
            .as_ref()
            .map(|(class, example)| RowFailure { class, example: example.as_str() });
        // Its requests are counted once, with the first of its rows.
        let carried = self.carried.as_deref().unwrap_or_default();
        let mut rows: Vec<Row<'_>> = carried.iter().map(Carried::row).collect();
        for _ in 0..left {
            let effort = std::mem::take(&mut effort);
            rows.push(Row { end, due: self.due, done, effort, failure });
        }
        let (number, end, due) = (self.number, self.end, self.due);
        recorder.end_iteration(&EndedIteration { number, end, due, rows, effort });
        end
    }
}

/// The class of a failed iteration, and an example: `3 of 4 requests of step query succeeded; cs1,
/// diagnosis: rate limited (429)`.
fn describe(
    step: &str,
    (succeeded, all): (usize, usize),
    failed: &[&(String, Ended)],
    first: &(String, Ended),
) -> (String, String) {
    let how = |request: &Ended| {
        let status = request.status.map(|status| format!(" ({status})")).unwrap_or_default();
        format!("{}{status}", request.sample.outcome.name())
    };
    let class = format!("{step}: {}", how(&first.1));
    if all == 1 && first.0.is_empty() {
        return (class, first.1.message.clone());
    }
    let named = failed.iter().take(NAMED).map(|(label, request)| match label.as_str() {
        "" => how(request),
        label => format!("{label}: {}", how(request)),
    });
    let mut example = format!(
        "{succeeded} of {all} requests of step {step} succeeded; {}",
        named.collect::<Vec<_>>().join("; ")
    );
    if failed.len() > NAMED {
        example += &format!("; and {} more", failed.len() - NAMED);
    }
    (class, example)
}
