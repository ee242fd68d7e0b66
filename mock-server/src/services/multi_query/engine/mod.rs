//! How the queries of a batch come to the pool, and their results into its rows.

mod flat;
mod pipelined;
mod row_barrier;

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Map, Value};
use tokio::task::JoinSet;

use super::Core;
use super::pool::{Place, Places};
use super::query::{self, Ask, Done, Trace};
use super::row;
use super::settings::QueryEngine;
use super::states::State;
use super::stats::Stages;
use crate::ledger::Tokens;
pub(super) use pipelined::MOST_PENDING;

/// Rows of one request on their way.
///
/// Queries are handed out only as places become free: those that are under way are as many as the
/// pool has places, and those that back off. Dropped before its end, a batch takes its tasks along.
pub(super) struct Batch {
    core: Arc<Core>,
    state: Arc<State>,
    number: u64,
    since: Instant,
    places: Places,
    tasks: JoinSet<Done>,
    rows: Vec<Row>,
    stages: Vec<Stages>,
    rows_failed: u64,
    queries_failed: u64,
    tokens: Tokens,
    traces: Vec<Trace>,
}

enum Row {
    /// Some of its queries have not ended; those that have are in their places.
    Open { fields: Arc<Map<String, Value>>, done: Vec<Option<Done>>, missing: usize },
    /// It has all its outputs, or an error.
    Merged(Map<String, Value>),
}

/// A batch that has ended.
pub(super) struct Ended {
    /// As many as came, in their order, each with outputs or an error.
    pub rows: Vec<Map<String, Value>>,
    pub rows_failed: u64,
    pub queries_failed: u64,
    /// Of all queries.
    pub stages: Vec<Stages>,
    /// Of all answers.
    pub tokens: Tokens,
    /// Of all queries, by row and query.
    pub traces: Vec<Trace>,
    /// From the begin of the batch to the end of its last row.
    pub took: Duration,
}

/// A query of a batch: the row's index and the query's.
type Position = (usize, usize);

const JOINED: &str = "invariant: a query does not panic, nor is it aborted while its batch lives";

impl Batch {
    /// Rows of request `number`, with calls under one state id.
    pub(super) fn new(
        core: &Arc<Core>,
        state: Arc<State>,
        number: u64,
        rows: Vec<Map<String, Value>>,
    ) -> Batch {
        let missing = core.queries.len();
        let open = |fields| {
            let done = std::iter::repeat_with(|| None).take(missing).collect();
            Row::Open { fields: Arc::new(fields), done, missing }
        };
        Batch {
            core: Arc::clone(core),
            state,
            number,
            since: Instant::now(),
            places: core.pool.places(),
            tasks: JoinSet::new(),
            rows: rows.into_iter().map(open).collect(),
            stages: Vec::new(),
            rows_failed: 0,
            queries_failed: 0,
            tokens: Tokens::default(),
            traces: Vec::new(),
        }
    }

    /// Asks all queries of all rows, as the engine does.
    pub(super) async fn run(mut self) -> Ended {
        match self.core.settings.engine {
            QueryEngine::RowBarrier => row_barrier::run(&mut self).await,
            QueryEngine::Flat => flat::run(&mut self).await,
            QueryEngine::Pipelined => pipelined::run(&mut self).await,
        }
        self.end()
    }

    /// The positions of one row's queries.
    fn row(&self, row: usize) -> impl Iterator<Item = Position> + use<> {
        (0..self.core.queries.len()).map(move |query| (row, query))
    }

    /// Asks these queries, in their order as places become free, and waits for all of them.
    async fn wave(&mut self, queries: impl Iterator<Item = Position>) {
        let mut queries = queries.peekable();
        loop {
            tokio::select! {
                place = self.places.next(), if queries.peek().is_some() => {
                    if let Some(position) = queries.next() {
                        self.dispatch(position, place);
                    }
                }
                Some(done) = self.tasks.join_next() => {
                    self.collect(done.expect(JOINED));
                }
                else => return,
            }
        }
    }

    /// Hands a query out.
    fn dispatch(&mut self, (row, query): Position, place: Place) {
        let placed = Instant::now();
        let Some(Row::Open { fields, .. }) = self.rows.get(row) else { return };
        let ask = Ask {
            row,
            query,
            fields: Arc::clone(fields),
            state: Arc::clone(&self.state),
            // Requests, rows and queries have digits of their own, so that no two share draws.
            number: (self.number << 32) | ((row as u64) << 12) | query as u64,
            batch_since: self.since,
        };
        self.tasks.spawn(query::ask(Arc::clone(&self.core), ask, place, placed));
    }

    /// Takes a result in, and merges its row if that was the last one. Says whether it was.
    fn collect(&mut self, mut done: Done) -> bool {
        done.clock.coordination += done.clock.finished.elapsed();
        done.clock.finished = Instant::now();
        let row = done.row;
        let Some(Row::Open { done: slots, missing, .. }) = self.rows.get_mut(row) else {
            return false;
        };
        let query = done.query;
        slots[query] = Some(done);
        *missing -= 1;
        let is_last = *missing == 0;
        if is_last {
            self.merge(row);
        }
        is_last
    }

    /// Makes a row of whose queries all have ended what the client will see.
    fn merge(&mut self, row: usize) {
        let begun = Instant::now();
        let merged = Row::Merged(Map::new());
        let Row::Open { fields, done, .. } = std::mem::replace(&mut self.rows[row], merged) else {
            return;
        };
        let mut clocks = Vec::with_capacity(done.len());
        let mut reasons = Vec::new();
        let mut ended = Vec::with_capacity(done.len());
        for done in done.into_iter().flatten() {
            match &done.ended {
                Ok(answer) => {
                    self.tokens.prompt += answer.usage.prompt_tokens;
                    self.tokens.completion += answer.usage.completion_tokens;
                }
                Err(failure) => reasons.push(failure.reason),
            }
            clocks.push(done.clock);
            self.traces.push(done.trace);
            ended.push((self.core.queries[done.query].prefix.as_str(), done.ended));
        }
        let merged = row::merge(fields, ended, self.core.template.hash());
        self.rows[row] = Row::Merged(merged);
        // A row has at most as many queries as settings name, far fewer than 2^32.
        let merge = begun.elapsed() / (clocks.len() as u32).max(1);
        let stages = clocks.iter().map(|clock| Stages {
            template: clock.template,
            call: clock.call,
            parse: clock.parse,
            merge,
            coordination: clock.coordination,
            total: (clock.finished - clock.placed).saturating_sub(clock.throttled) + merge,
        });
        let first = self.stages.len();
        self.stages.extend(stages);
        self.rows_failed += u64::from(!reasons.is_empty());
        self.queries_failed += reasons.len() as u64;
        self.core.stats.row(&self.stages[first..], &reasons);
    }

    /// Whether a row has all its outputs, or an error.
    fn is_merged(&self, row: usize) -> bool {
        matches!(self.rows[row], Row::Merged(_))
    }

    fn end(mut self) -> Ended {
        self.traces.sort_by_key(|trace| trace.row);
        let merged = self.rows.into_iter().map(|row| match row {
            Row::Merged(row) => row,
            Row::Open { fields, .. } => Arc::unwrap_or_clone(fields),
        });
        Ended {
            rows: merged.collect(),
            rows_failed: self.rows_failed,
            queries_failed: self.queries_failed,
            stages: self.stages,
            tokens: self.tokens,
            traces: self.traces,
            took: self.since.elapsed(),
        }
    }
}
