//! One iteration of one user: draw a transaction, carry out its steps, record a sample for each
//! attempt and a row for the whole.
//!
//! `attempt` is one exchange, `retry` the attempts of one request, `fan` the requests of one step,
//! `course` what became of the iteration, `spending` what may be used up.

mod attempt;
mod course;
mod fan;
mod retry;
mod spending;

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::http::Pool;
use crate::measure::numbers::Numbers;
use crate::measure::recorder::{IterationEnd, Recorder, Why};
use crate::measure::sample::{Offset, Outcome, StepId, Tokens};
use crate::plan::{Plan, Stop};
use crate::scenario::model::User;
use crate::scenario::random::{Purpose, stream};
use crate::scenario::{Feeder, Inputs, IterationPlace};

use attempt::unsent;
use course::{Course, Turn};
pub use spending::Spending;

/// What all users of a run share.
#[derive(Debug)]
pub struct Context {
    /// What is done.
    pub plan: Plan,
    /// The run's clock.
    pub clock: Clock,
    /// Takes the samples.
    pub recorder: Arc<Recorder>,
    /// Where requests go, and over which connections.
    pub pool: Arc<Pool>,
    /// Hands out data rows.
    pub feeder: Feeder,
    /// What of the budget is used up; ends the run when all of it is.
    pub spending: Spending,
    /// How the run is stopped.
    pub halt: Halt,
    /// What was done already, where the run goes on after a kill.
    pub earlier: Option<Earlier>,
}

/// The part of a run that was made before it went on.
#[derive(Debug, Clone)]
pub struct Earlier {
    /// When its first user started; `None` where none did.
    pub began: Option<Offset>,
    /// Iterations that are done.
    pub done: Numbers,
    /// Iterations that were begun, done or not.
    pub iterations_started: u64,
    /// Requests that were sent, whether it is known how they ended or not.
    pub requests: u64,
    /// Tokens that responses reported.
    pub tokens: Tokens,
}

/// An arrival of open load.
#[derive(Debug, Clone, Copy)]
pub struct Arrival {
    /// Its number among all arrivals of the run, from 0: what its iteration draws follows from it.
    pub number: u64,
    /// The kind of user in the scenario's list.
    pub kind: usize,
    /// Which iteration it is.
    pub place: IterationPlace,
    /// When it is due.
    pub due: Offset,
}

impl Context {
    /// Whether nothing more may be started.
    fn is_finishing(&self) -> bool {
        self.halt.is_finishing(self.clock.now())
    }

    /// How many iterations are still to be done of so many.
    pub fn left_of(&self, iterations: Option<u64>) -> Option<u64> {
        let done = self.earlier.as_ref().map_or(0, |earlier| earlier.done.count());
        iterations.map(|iterations| iterations.saturating_sub(done))
    }

    /// Records that an arrival found no place among those in flight: the iteration, and the first
    /// request of its transaction.
    pub fn drop_arrival(&self, arrival: Arrival, message: &str) {
        let Arrival { number, kind, place, due } = arrival;
        let mut draw = stream(self.plan.seed, 0, number, Purpose::Transaction);
        let user = &self.plan.scenario.users[kind];
        let transaction = user.draw(&mut draw);
        if let Some(first) = transaction.steps.first() {
            let mut sample = unsent(*first, due, self.clock.now(), Outcome::Dropped);
            sample.good = self.plan.scenario.step(*first).goodput.map(|_| false);
            self.recorder.drop_request(&sample, Why { status: None, message });
        }
        self.recorder.drop_iteration(place.id(), due, self.feeder.rows_of(place));
    }
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
    /// Why the run ends, and how long requests in flight may take, once that is known.
    drain: Arc<OnceLock<(Stop, Duration)>>,
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

    /// Lets no more requests start, for this reason; those in flight have the time `drain` to end.
    pub fn wind_down(&self, stop: Stop, drain: Duration) {
        // A run ends once.
        let _ = self.drain.set((stop, drain));
        self.finish.cancel();
    }

    /// Why the run ends, and how long requests in flight may take; `None` before.
    pub fn draining(&self) -> Option<(Stop, Duration)> {
        self.drain.get().copied()
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
    /// Which iteration the next one is; `None` where it is the next that nobody has begun.
    place: Option<IterationPlace>,
}

/// What the requests of one iteration have in common.
#[derive(Debug, Clone, Copy)]
struct Here<'a> {
    context: &'a Context,
    pool: &'a Pool,
    user: u32,
    iteration: u64,
}

impl Session {
    /// A user with number `user`, of the kind at `kind` in the scenario's list.
    pub fn new(context: Arc<Context>, user: u32, kind: usize) -> Self {
        let pool = context.pool.for_user();
        // Draws follow from this number: a run that goes on does not repeat those of its beginning.
        let iteration = context.earlier.as_ref().map_or(0, |earlier| earlier.iterations_started);
        Session { context, pool, user, kind, iteration, place: None }
    }

    /// Which of several scenarios that run at once is its user's; else 0.
    pub fn scope(&self) -> u16 {
        self.kind().scope
    }

    fn kind(&self) -> &User {
        &self.context.plan.scenario.users[self.kind]
    }

    /// Gives the session the work of an arrival. In open load there are no users: what an iteration
    /// does follows from the number of its arrival, whichever session carries it out.
    pub fn assign(&mut self, arrival: Arrival) {
        (self.iteration, self.kind) = (arrival.number, arrival.kind);
        self.place = Some(arrival.place);
    }

    /// Carries out the next iteration, due at `due`, and says how it ended and how long the user
    /// thinks afterwards. Where the budget is used up, it waits for the run to end, and begins none.
    pub async fn iterate(&mut self, due: Offset) -> (IterationEnd, Duration) {
        let context = Arc::clone(&self.context);
        if !context.spending.has_permits() {
            context.halt.finish.cancelled().await;
            return (IterationEnd::Cancelled, Duration::ZERO);
        }
        let (iteration, place) = (self.iteration, self.place.take());
        self.iteration += 1;
        let draw = |purpose| stream(context.plan.seed, self.user, iteration, purpose);
        let transaction = self.kind().draw(&mut draw(Purpose::Transaction));
        let think = self.kind().think.draw(&mut draw(Purpose::Think));
        let here = Here { context: &context, pool: &self.pool, user: self.user, iteration };

        context.recorder.begin_iteration();
        let inputs = match place {
            Some(place) => context.feeder.inputs(place, self.user, iteration),
            None => context.feeder.iteration(self.scope(), self.user, iteration),
        };
        let end = here.walk(&transaction.steps, due, inputs).await;
        (end, think)
    }
}

impl Here<'_> {
    /// Carries out steps one after another, until one fails or the run is over.
    async fn walk(&self, steps: &[StepId], due: Offset, mut inputs: Inputs) -> IterationEnd {
        let scenario = &self.context.plan.scenario;
        let mut course = Course::new(scenario, due, inputs.place().id(), inputs.row_count());
        let mut due = due;
        for (place, &id) in steps.iter().enumerate() {
            // Who asks for an iteration has decided that it begins.
            if place > 0 && self.context.is_finishing() {
                course.cancel();
                break;
            }
            let results = self.carry_out(id, due, &inputs, course.requests()).await;
            let step = scenario.step(id);
            match course.take(id, results) {
                Turn::End => break,
                Turn::On(harvests) => {
                    let plain = if step.fan_out.is_none() { harvests.first() } else { None };
                    if let Some(harvest) = plain.filter(|_| !step.extract.is_empty()) {
                        inputs = inputs.with(harvest);
                    }
                    // A list costs something: it is made for those who ask for it.
                    let is_wanted = |later: &StepId| scenario.step(*later).after.contains(&id);
                    if steps[place + 1..].iter().any(is_wanted) {
                        inputs = inputs.joined(&step.name, harvests);
                    }
                }
            }
            due = self.context.clock.now();
        }
        course.finish(self.context.clock.now(), &self.context.recorder)
    }
}
