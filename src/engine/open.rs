//! The open model: iterations start when they are due, whether earlier ones have ended or not.

use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::FutureExt as _;
use tokio::sync::mpsc;
use tokio_util::task::TaskTracker;

use crate::error::Error;
use crate::flow::{Arrival, Context, Session};
use crate::measure::sample::Offset;
use crate::plan::{Ending, Stop};
use crate::scenario::IterationPlace;
use crate::scenario::random::{Purpose, stream, weighted};
use crate::schedule::OpenLoad;

use super::alarm::Alarm;
use super::end::{Goal, wind_down};

/// How long after the end of the run's time a generator that is late may still send what was due
/// before it. What it has not sent by then, the ledger lacks, and the run is not valid.
const CATCH_UP: Duration = Duration::from_secs(1);

/// What the arrivals of a run share.
#[derive(Debug)]
struct Floor {
    context: Arc<Context>,
    load: OpenLoad,
    /// Sessions without an iteration; the one that was used last is taken first, so that as few
    /// connections are open as can be.
    free: Mutex<Vec<Session>>,
    goal: Goal,
    running: TaskTracker,
    /// What is said of an arrival that finds no place.
    full: String,
}

/// The two moments from which arrivals are counted; one and the same, but for a run that goes on.
#[derive(Debug, Clone, Copy)]
struct Begin {
    /// When the schedule began.
    run: Offset,
    /// When this part of the run did. What was due before and is not done is due now: the clock of the
    /// run stood still while gander was away, so that this is what was in flight when it was killed.
    part: Offset,
}

/// Runs `load` until its time is over, its iterations are done, or an interrupt.
pub async fn run(
    context: Arc<Context>,
    load: OpenLoad,
    interrupts: &mut mpsc::Receiver<Ending>,
) -> Result<Ending, Error> {
    let (goal, mut ended) = Goal::new(context.left_of(load.iterations));
    let alarm = Alarm::new(context.clock)
        .map_err(|error| Error::CannotRun(format!("the system gives no timer: {error}")))?;
    let floor = Arc::new(Floor {
        context: Arc::clone(&context),
        full: format!("no place among {} in flight", load.max_in_flight),
        load,
        free: Mutex::default(),
        goal,
        running: TaskTracker::new(),
    });
    let begin = floor.begin();
    let pacing = Arc::clone(&floor);
    floor.running.spawn(async move {
        match AssertUnwindSafe(pacing.pace(alarm, begin)).catch_unwind().await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                let reason = format!("the timer of arrivals failed: {error}");
                pacing.goal.end(Ending::because(Stop::Failed, reason));
            }
            Err(panic) => pacing.goal.panicked(&*panic),
        }
    });
    let ending = tokio::select! {
        Some(ending) = interrupts.recv() => ending,
        Some(ending) = ended.recv() => ending,
        ending = context.spending.over() => ending,
    };
    // Not only requests: an iteration that was just begun has not sent its first one yet.
    wind_down(&context, ending.stop, interrupts, || context.recorder.users() == 0).await;
    floor.running.close();
    floor.running.wait().await;
    Ok(ending)
}

impl Floor {
    /// Starts the run's time, or goes on with it.
    fn begin(&self) -> Begin {
        let (part, load) = (self.context.clock.now(), &self.load);
        let run = self.context.earlier.as_ref().and_then(|earlier| earlier.began).unwrap_or(part);
        let measured_end = run + load.duration.saturating_sub(load.cool_down);
        self.context.recorder.window().open(run + load.warm_up, measured_end);
        Begin { run, part }
    }

    /// Begins or drops each iteration when it is due, and ends the run when its time is over.
    async fn pace(self: &Arc<Self>, mut alarm: Alarm, begin: Begin) -> std::io::Result<()> {
        let Context { clock, halt, .. } = &*self.context;
        let end = begin.run + self.load.duration;
        for arrival in self.arrivals(begin) {
            tokio::select! {
                biased;
                () = halt.finish.cancelled() => return Ok(()),
                waited = alarm.until(arrival.due) => waited?,
            }
            if clock.now() >= end.max(begin.part) + CATCH_UP {
                break;
            }
            if !self.context.spending.has_permits() {
                // The run ends when the last request has that was permitted.
                halt.finish.cancelled().await;
                return Ok(());
            }
            self.arrive(arrival);
            // After a delay, many are due at once: what has begun must get its turn between them.
            tokio::task::coop::consume_budget().await;
        }
        tokio::select! {
            () = halt.finish.cancelled() => {}
            waited = alarm.until(end) => {
                waited?;
                self.goal.end(Stop::Duration);
            }
        }
        Ok(())
    }

    /// The arrivals that are not done, in order. Which iteration one is, and so its rows, follows from
    /// its number alone, as its kind does: each is the next of its scope.
    fn arrivals(self: &Arc<Self>, begin: Begin) -> impl Iterator<Item = Arrival> + use<> {
        let floor = Arc::clone(self);
        let plan = &self.context.plan;
        let mut next: BTreeMap<u16, u64> = BTreeMap::new();
        let arrivals = (0u64..).zip(self.load.arrivals(plan.seed)).map(move |(number, due)| {
            let kind = floor.kind(number);
            let scope = floor.context.plan.scenario.users[kind].scope;
            let next = next.entry(scope).or_default();
            let place = IterationPlace { scope, number: *next };
            *next += 1;
            Arrival { number, kind, place, due: (begin.run + due).max(begin.part) }
        });
        let context = Arc::clone(&self.context);
        arrivals.filter(move |arrival| !context.feeder.is_done(arrival.place))
    }

    /// Begins the iteration of an arrival, or drops it where too many are in flight.
    fn arrive(self: &Arc<Self>, arrival: Arrival) {
        let context = &self.context;
        if context.recorder.users() >= self.load.max_in_flight {
            context.drop_arrival(arrival, &self.full);
            self.goal.iteration_ended();
            return;
        }
        let active = Arc::clone(&context.recorder).user();
        let session = self.lock().pop();
        let mut session =
            session.unwrap_or_else(|| Session::new(Arc::clone(context), 0, arrival.kind));
        session.assign(arrival);
        let floor = Arc::clone(self);
        self.running.spawn(async move {
            match AssertUnwindSafe(session.iterate(arrival.due)).catch_unwind().await {
                Ok(_) => floor.lock().push(session),
                Err(panic) => floor.goal.panicked(&*panic),
            }
            drop(active);
            floor.goal.iteration_ended();
        });
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Session>> {
        self.free.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The kind of user of arrival `number`, drawn by weight from the seed.
    fn kind(&self, number: u64) -> usize {
        let users = &self.context.plan.scenario.users;
        if users.len() == 1 {
            return 0;
        }
        let mut generator = stream(self.context.plan.seed, 0, number, Purpose::Kind);
        weighted(users.iter().map(|user| user.weight), &mut generator)
            .expect("invariant: a scenario has kinds of users, and their weights are above 0")
    }
}
