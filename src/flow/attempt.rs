//! One attempt of a request: an exchange, and what it means.

use std::time::Duration;

use crate::http::{Events, Exchange, ExchangeOptions, Request, Wanted};
use crate::measure::recorder::{InFlight, Why};
use crate::measure::sample::{Bytes, Offset, Outcome, Sample, StepId};
use crate::scenario::Inputs;
use crate::scenario::answer::{Answer, Harvest, RowResult};
use crate::scenario::expect::Unexpected;
use crate::scenario::model::Step;
use crate::scenario::template::Rendered;
use crate::schedule::LoadModel;

use super::Here;
use super::retry::asked;
use super::spending::Permit;

/// Statuses by which a target asks for less load; the last two only with `Retry-After`.
const TOO_MANY_REQUESTS: u16 = 429;
const UNAVAILABLE_FOR_NOW: [u16; 2] = [503, 529];

/// A request that is to be made.
#[derive(Debug, Clone, Copy)]
pub(super) struct Call<'a> {
    /// Its step.
    pub id: StepId,
    /// The same.
    pub step: &'a Step,
    /// What its templates see.
    pub inputs: &'a Inputs,
    /// Its number among those of the iteration.
    pub place: u64,
}

/// An attempt that has ended, and is not recorded yet: what it counts as depends on whether another
/// follows. Until then it counts as in flight.
#[must_use = "an attempt that is not recorded is a lost sample"]
pub(super) struct Attempt<'a> {
    flight: InFlight<'a>,
    pub sample: Sample,
    pub status: Option<u16>,
    /// Why it is no success.
    pub message: String,
    /// What it gave to later steps, where it is a success.
    pub harvest: Option<Harvest>,
    /// Rows in its response.
    pub rows: Option<Vec<RowResult>>,
    /// How long the target asks to wait, where it does.
    pub asked: Option<Duration>,
}

impl Attempt<'_> {
    /// Records it as `outcome`.
    pub fn record(mut self, outcome: Outcome) -> Ended {
        self.sample.outcome = outcome;
        let why = Why { status: self.status, message: &self.message };
        self.flight.finish(&self.sample, why);
        let Attempt { sample, status, message, harvest, rows, .. } = self;
        Ended { sample, status, message, harvest, rows, attempts: 1 }
    }
}

/// A request that has ended.
#[derive(Debug)]
pub(super) struct Ended {
    /// What was measured.
    pub sample: Sample,
    /// Status of the response, where there is one.
    pub status: Option<u16>,
    /// Why it is no success.
    pub message: String,
    /// What it gave to later steps, where it is a success.
    pub harvest: Option<Harvest>,
    /// Rows in its response.
    pub rows: Option<Vec<RowResult>>,
    /// Attempts; 0 where it was never sent.
    pub attempts: u64,
}

impl Ended {
    /// One that was never sent.
    pub fn unsent(sample: Sample, message: String) -> Ended {
        Ended { sample, status: None, message, harvest: None, rows: None, attempts: 0 }
    }
}

impl<'a> Here<'a> {
    /// Sends `rendered`, due at `due`, once.
    pub(super) async fn attempt(
        &self,
        call: &Call<'_>,
        rendered: &Rendered,
        due: Offset,
        permit: Permit<'_>,
    ) -> Attempt<'a> {
        let Here { context, pool, .. } = *self;
        let step = call.step;
        let flight = context.recorder.begin();
        let wanted = match (&step.stream, step.needs_body()) {
            (Some(_), _) => Wanted::Events,
            (None, true) => Wanted::Whole,
            (None, false) => Wanted::Nothing,
        };
        let options = ExchangeOptions { timeout: step.timeout, wanted };
        let request = Request {
            method: &step.method,
            path: &rendered.path,
            headers: &rendered.headers,
            body: &rendered.body,
        };
        let exchange = tokio::select! {
            biased;
            exchange = pool.exchange(request, options) => exchange,
            () = context.halt.abort.cancelled() => {
                let sample = unsent(call.id, due, context.clock.now(), Outcome::Cancelled);
                let (message, status) = (String::new(), None);
                let (harvest, rows, asked) = (None, None, None);
                return Attempt { flight, sample, status, message, harvest, rows, asked };
            }
        };
        let attempt = self.judged(call, due, flight, exchange);
        permit.spend(attempt.sample.tokens);
        attempt
    }

    /// What an exchange means.
    fn judged(
        &self,
        call: &Call<'_>,
        due: Offset,
        flight: InFlight<'a>,
        exchange: Exchange,
    ) -> Attempt<'a> {
        let scenario = &self.context.plan.scenario;
        let step = call.step;
        let streamed = step
            .stream
            .as_ref()
            .filter(|_| exchange.events.is_some())
            .map(|rules| rules.read(exchange.events.iter().flat_map(Events::iter)));
        let status = exchange.status.unwrap_or_default();
        let answer = Answer::new(status, &exchange.headers, &exchange.body, streamed.as_ref());
        let (outcome, message, harvest) = judge(step, &exchange, &answer, call.inputs);
        let tokens = step.tokens(&answer, &scenario.prices);
        let rows = if outcome.is_success() { step.rows_in(&answer) } else { None };
        // In the closed model nobody planned when a request starts, and opening a connection is no
        // part of it; in the open model all that keeps it from being sent is.
        let scheduled = match self.context.plan.load {
            LoadModel::Closed(_) => exchange.sent,
            LoadModel::Open(_) => due,
        };
        let sample = Sample {
            step: call.id,
            scheduled,
            sent: exchange.sent,
            send_lag: exchange.started.since(due),
            connect: exchange.connect,
            tls: exchange.tls,
            first_byte: exchange.first_byte,
            done: exchange.done,
            bytes: exchange.bytes,
            outcome,
            stream: streamed.map(|streamed| Box::new(streamed.times)),
            tokens,
            good: None,
        };
        // A target may send back what it was sent.
        let message = scenario.redactions().redact(&message).into_owned();
        let asked = match &step.retry {
            Some(_) if !outcome.is_success() => asked(&exchange.headers, jiff::Timestamp::now()),
            _ => None,
        };
        Attempt { flight, sample, status: exchange.status, message, harvest, rows, asked }
    }
}

/// A sample of a request that has no exchange to tell of.
pub(super) fn unsent(step: StepId, due: Offset, done: Offset, outcome: Outcome) -> Sample {
    Sample {
        step,
        scheduled: due,
        sent: due,
        send_lag: Duration::ZERO,
        connect: None,
        tls: None,
        first_byte: None,
        done,
        bytes: Bytes::default(),
        outcome,
        stream: None,
        tokens: None,
        good: None,
    }
}

/// The outcome of an exchange, a line that says why it is not a success, and what it gives to later
/// steps where it is one.
fn judge(
    step: &Step,
    exchange: &Exchange,
    answer: &Answer<'_>,
    inputs: &Inputs,
) -> (Outcome, String, Option<Harvest>) {
    if let Some(failure) = &exchange.failure {
        return (failure.outcome, failure.message.clone(), None);
    }
    let Some(status) = exchange.status else {
        let message = "the exchange ended without a status".to_owned();
        return (Outcome::Incomplete, message, None);
    };
    let (outcome, message) = match step.accept(answer, inputs) {
        Ok(harvest) => return (Outcome::Ok, String::new(), Some(harvest)),
        Err(Unexpected::Content(message)) => (Outcome::CheckFailed, message),
        Err(Unexpected::Incomplete(message)) => (Outcome::Incomplete, message),
        Err(Unexpected::Malformed(message)) => (Outcome::Malformed, message),
        Err(Unexpected::Status(message)) => {
            let waits = exchange.headers.contains_key(http::header::RETRY_AFTER);
            let limited =
                status == TOO_MANY_REQUESTS || (waits && UNAVAILABLE_FOR_NOW.contains(&status));
            (if limited { Outcome::RateLimited } else { Outcome::HttpStatus }, message)
        }
    };
    (outcome, message, None)
}
