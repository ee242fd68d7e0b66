//! What settings of the multi-query service fit together, and what to write where they do not.

use std::collections::HashSet;
use std::time::Duration;

use super::expand::{self, RESERVED};
use super::settings::{Execution, MultiQuery, Order, OutputType, QueryEngine};
use super::template;
use crate::duration;

/// A thread costs a stack, a task does not.
const MOST_THREADS: usize = 2_000;
const MOST_PLACES: usize = 10_000;

/// What HTTP clients of vendors allow at most.
const MOST_CLIENT_RETRIES: u32 = 10;

impl MultiQuery {
    /// Whether these settings fit together.
    ///
    /// # Errors
    /// What does not, and what to write instead.
    pub fn check(&self) -> Result<(), String> {
        self.check_order()?;
        self.check_queries()?;
        self.check_outputs()?;
        self.check_pool()?;
        self.check_throttle()?;
        self.check_calls()?;
        template::compile(&self.template)
            .map(|_| ())
            .map_err(|error| format!("`template` is no Jinja template: {error}"))
    }

    fn check_order(&self) -> Result<(), String> {
        let text = match (self.engine, self.order()) {
            (QueryEngine::Flat, _)
            | (QueryEngine::RowBarrier, Order::Row)
            | (QueryEngine::Pipelined, Order::Flat) => return Ok(()),
            (QueryEngine::RowBarrier, Order::Criterion) => {
                "order \"criterion\" takes one query of all rows at a time, and engine \
                 \"row-barrier\" takes one row at a time: use engine \"flat\", or leave `order` out"
            }
            (QueryEngine::RowBarrier, Order::Flat) => {
                "order \"flat\" has no barrier, and engine \"row-barrier\" waits after each row: \
                 use engine \"flat\" or \"pipelined\", or leave `order` out"
            }
            (QueryEngine::Pipelined, Order::Row) => {
                "order \"row\" waits after each row, and engine \"pipelined\" lets rows overlap: \
                 use engine \"flat\" or \"row-barrier\", or leave `order` out"
            }
            (QueryEngine::Pipelined, Order::Criterion) => {
                "order \"criterion\" needs all rows at once, and engine \"pipelined\" lets in 30: \
                 use engine \"flat\", or leave `order` out"
            }
        };
        Err(text.to_owned())
    }

    fn check_queries(&self) -> Result<(), String> {
        if self.case_studies.is_empty() || self.criteria.is_empty() {
            return Err("a row needs at least one query: name at least one of `case_studies` and \
                        one of `criteria`"
                .to_owned());
        }
        let case_studies = self.case_studies.iter().map(|case| &case.name);
        if case_studies.chain(self.criteria.iter().map(|c| &c.name)).any(String::is_empty) {
            return Err("each case study and each criterion needs a `name`: outputs are named \
                        after them"
                .to_owned());
        }
        match self.case_studies.iter().find(|case| case.input_fields.is_empty()) {
            Some(case) => Err(format!(
                "case study {:?} reads nothing of a row: name at least one field in \
                 `input_fields`",
                case.name
            )),
            None => Ok(()),
        }
    }

    fn check_outputs(&self) -> Result<(), String> {
        if self.output_mapping.is_empty() {
            return Err("an answer needs at least one output: name a field in `output_mapping`, \
                        such as score = { suffix = \"score\", type = \"integer\" }"
                .to_owned());
        }
        for (name, field) in &self.output_mapping {
            let is_enum = field.kind == OutputType::Enum;
            if is_enum == field.values.is_empty() {
                let say = if is_enum { "needs" } else { "takes no" };
                return Err(format!(
                    "`output_mapping.{name}` {say} `values`: they are the texts that a field of \
                     type \"enum\" may be"
                ));
            }
            if field.suffix.is_empty() || RESERVED.contains(&field.suffix.as_str()) {
                return Err(format!(
                    "`output_mapping.{name}` needs another suffix than {:?}: an empty one names \
                     nothing, and {} are outputs of every query",
                    field.suffix,
                    RESERVED.join(", ")
                ));
            }
        }
        let mut seen = HashSet::new();
        match expand::columns(self).find(|column| !seen.insert(column.clone())) {
            Some(column) => Err(format!(
                "two outputs would be named {column:?}: rename a case study, a criterion or a \
                 suffix"
            )),
            None => Ok(()),
        }
    }

    fn check_pool(&self) -> Result<(), String> {
        let most = match self.execution {
            Execution::Threads => MOST_THREADS,
            Execution::Async => MOST_PLACES,
        };
        match self.pool_size {
            0 => Err("`pool_size` is at least 1: without a place in the pool nothing runs".into()),
            size if size > MOST_PLACES => Err(format!("`pool_size` is at most {MOST_PLACES}")),
            size if size > most => Err(format!(
                "`pool_size` is at most {MOST_THREADS} with execution \"threads\", where each \
                 place is a thread: use execution \"async\""
            )),
            _ => Ok(()),
        }
    }

    fn check_throttle(&self) -> Result<(), String> {
        if self.min_dispatch_delay_ms > self.max_dispatch_delay_ms {
            return Err("`min_dispatch_delay_ms` is more than `max_dispatch_delay_ms`: lower the \
                        first or raise the second"
                .to_owned());
        }
        if Duration::from_millis(self.max_dispatch_delay_ms) > duration::LONGEST {
            return Err("`max_dispatch_delay_ms` is at most one day (86400000)".to_owned());
        }
        if !(self.backoff_multiplier > 1.0 && self.backoff_multiplier.is_finite()) {
            return Err("`backoff_multiplier` is more than 1: a delay that does not grow is no \
                        back-off"
                .to_owned());
        }
        if !(0.0..=duration::LONGEST.as_secs_f64()).contains(&self.max_capacity_retry_seconds) {
            return Err("`max_capacity_retry_seconds` is from 0 to one day (86400)".to_owned());
        }
        Ok(())
    }

    fn check_calls(&self) -> Result<(), String> {
        if self.temperature.is_some_and(|t| !(0.0..=2.0).contains(&t)) {
            return Err("`temperature` is from 0 to 2".to_owned());
        }
        let mut limits = self.criteria.iter().map(|criterion| criterion.max_tokens);
        if self.max_tokens == Some(0) || limits.any(|limit| limit == Some(0)) {
            return Err("`max_tokens` is at least 1: leave it out for no limit".to_owned());
        }
        if self.client_retries > MOST_CLIENT_RETRIES {
            return Err(format!("`client_retries` is at most {MOST_CLIENT_RETRIES}"));
        }
        Ok(())
    }
}
