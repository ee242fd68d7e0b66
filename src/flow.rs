//! One iteration of one user: draw a transaction, carry out its steps, record a sample for each.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::http::{Events, Exchange, ExchangeOptions, HttpTarget, Pool, Request, Wanted};
use crate::measure::recorder::{IterationEnd, Recorder, Why};
use crate::measure::sample::{Bytes, Offset, Outcome, Sample, StepId};
use crate::plan::Plan;
use crate::scenario::answer::Answer;
use crate::scenario::expect::Unexpected;
use crate::scenario::model::{Step, User};
use crate::scenario::random::{Purpose, stream};
use crate::scenario::{Feeder, Inputs};

/// Statuses by which a target asks for less load; the last two only with `Retry-After`.
const TOO_MANY_REQUESTS: u16 = 429;
const UNAVAILABLE_FOR_NOW: [u16; 2] = [503, 529];

/// What all users of a run share.
#[derive(Debug)]
pub struct Context {
    /// What is done.
    pub plan: Plan,
    /// The run's clock.
    pub clock: Clock,
    /// Takes the samples.
    pub recorder: Arc<Recorder>,
    /// Where requests go.
    pub target: Arc<HttpTarget>,
    /// Hands out data rows.
    pub feeder: Feeder,
    /// How the run is stopped.
    pub halt: Halt,
}

/// The two steps of stopping a run.
#[derive(Debug, Clone, Default)]
pub struct Halt {
    /// No more requests are started; those in flight may end.
    pub finish: CancellationToken,
    /// Requests in flight are cancelled.
    pub abort: CancellationToken,
    /// The planned end, once it is known: no request starts later, however late its timer is.
    end: Arc<OnceLock<Offset>>,
}

impl Halt {
    /// Sets the planned end.
    pub fn end_at(&self, end: Offset) {
        // Only the first user of a run sets it.
        let _ = self.end.set(end);
    }

    /// Whether nothing more may be started at `now`.
    pub fn is_finishing(&self, now: Offset) -> bool {
        self.finish.is_cancelled() || self.end.get().is_some_and(|end| now >= *end)
    }
}

/// A user's own state: its connections, and how many iterations it has begun.
#[derive(Debug)]
pub struct Session {
    context: Arc<Context>,
    pool: Arc<Pool>,
    user: u32,
    kind: usize,
    iteration: u64,
}

impl Session {
    /// A user with number `user`, of the kind at `kind` in the scenario's list.
    pub fn new(context: Arc<Context>, user: u32, kind: usize) -> Self {
        let pool = Arc::new(Pool::new(Arc::clone(&context.target), context.clock));
        Session { context, pool, user, kind, iteration: 0 }
    }

    fn kind(&self) -> &User {
        &self.context.plan.scenario.users[self.kind]
    }

    /// Carries out the next iteration, due at `due`, and says how it ended and how long the user
    /// thinks afterwards.
    pub async fn iterate(&mut self, due: Offset) -> (IterationEnd, Duration) {
        let context = Arc::clone(&self.context);
        let iteration = self.iteration;
        self.iteration += 1;
        let draw = |purpose| stream(context.plan.seed, self.user, iteration, purpose);
        let transaction = self.kind().draw(&mut draw(Purpose::Transaction));
        let steps: Vec<StepId> = transaction.steps.clone();
        let think = self.kind().think.draw(&mut draw(Purpose::Think));

        context.recorder.begin_iteration();
        let inputs = context.feeder.iteration(self.kind().scope, self.user, iteration);
        let mut due = due;
        let mut end = IterationEnd::Ok;
        for step in steps {
            if context.halt.is_finishing(context.clock.now()) {
                end = IterationEnd::Cancelled;
                break;
            }
            let outcome = self.perform(step, due, &inputs).await;
            if !outcome.is_success() {
                let cancelled = outcome == Outcome::Cancelled;
                end = if cancelled { IterationEnd::Cancelled } else { IterationEnd::Failed };
                break;
            }
            due = context.clock.now();
        }
        context.recorder.end_iteration(end);
        (end, think)
    }

    /// Sends one request of step `id`, due at `due`, and records how it ended.
    async fn perform(&mut self, id: StepId, due: Offset, inputs: &Inputs) -> Outcome {
        let context = Arc::clone(&self.context);
        let step = context.plan.scenario.step(id);
        let rendered = match step.template.render(inputs) {
            Ok(rendered) => rendered,
            Err(error) => {
                let sample = unsent(id, due, context.clock.now(), Outcome::Dropped);
                let why = Why { status: None, message: &error.to_string() };
                context.recorder.drop_request(&sample, why);
                return sample.outcome;
            }
        };
        let flight = context.recorder.begin();
        let wanted = match (&step.stream, step.needs_body()) {
            (Some(_), _) => Wanted::Events,
            (None, true) => Wanted::Whole,
            (None, false) => Wanted::Nothing,
        };
        let options = ExchangeOptions { timeout: step.timeout, wanted };
        let mut connection = self.pool.take().await;
        let request = Request {
            method: &step.method,
            path: &rendered.path,
            headers: &rendered.headers,
            body: &rendered.body,
        };
        let exchange = tokio::select! {
            biased;
            exchange = connection.exchange(request, options) => exchange,
            () = context.halt.abort.cancelled() => {
                let sample = unsent(id, due, context.clock.now(), Outcome::Cancelled);
                flight.finish(&sample, Why::default());
                return Outcome::Cancelled;
            }
        };
        self.pool.give(connection);
        let streamed = step
            .stream
            .as_ref()
            .filter(|_| exchange.events.is_some())
            .map(|rules| rules.read(exchange.events.iter().flat_map(Events::iter)));
        let status = exchange.status.unwrap_or_default();
        let answer = Answer::new(status, &exchange.headers, &exchange.body, streamed.as_ref());
        let (outcome, message) = judge(step, &exchange, &answer, inputs);
        let tokens = step.tokens(&answer, &context.plan.scenario.prices);
        let mut sample = Sample {
            step: id,
            scheduled: exchange.sent,
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
        sample.good = step.goodput.map(|limits| outcome.is_success() && limits.holds(&sample));
        // A target may send back what it was sent.
        let message = context.plan.scenario.redactions().redact(&message);
        flight.finish(&sample, Why { status: exchange.status, message: &message });
        outcome
    }
}

/// A sample of a request that has no exchange to tell of.
fn unsent(step: StepId, due: Offset, done: Offset, outcome: Outcome) -> Sample {
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

/// The outcome of an exchange, and a line that says why it is not a success.
fn judge(
    step: &Step,
    exchange: &Exchange,
    answer: &Answer<'_>,
    inputs: &Inputs,
) -> (Outcome, String) {
    if let Some(failure) = &exchange.failure {
        return (failure.outcome, failure.message.clone());
    }
    let Some(status) = exchange.status else {
        return (Outcome::Incomplete, "the exchange ended without a status".to_owned());
    };
    match step.accept(answer, inputs) {
        Ok(_) => (Outcome::Ok, String::new()),
        Err(Unexpected::Content(message)) => (Outcome::CheckFailed, message),
        Err(Unexpected::Incomplete(message)) => (Outcome::Incomplete, message),
        Err(Unexpected::Malformed(message)) => (Outcome::Malformed, message),
        Err(Unexpected::Status(message)) => {
            let waits = exchange.headers.contains_key(http::header::RETRY_AFTER);
            let limited =
                status == TOO_MANY_REQUESTS || (waits && UNAVAILABLE_FOR_NOW.contains(&status));
            (if limited { Outcome::RateLimited } else { Outcome::HttpStatus }, message)
        }
    }
}
