//! The open model: iterations start when they are due, whether earlier ones have ended or not.

use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::FutureExt as _;
use tokio::sync::mpsc;
use tokio_util::task::TaskTracker;

use crate::error::Error;
use crate::flow::{Context, Session};
use crate::measure::sample::Offset;
use crate::plan::{Ending, Stop};
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

/// Runs `load` until its time is over, its iterations are done, or an interrupt.
pub async fn run(
    context: Arc<Context>,
    load: OpenLoad,
    interrupts: &mut mpsc::Receiver<Ending>,
) -> Result<Ending, Error> {
    let (goal, mut ended) = Goal::new(load.iterations);
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
    let began = floor.begin();
    let pacing = Arc::clone(&floor);
    floor.running.spawn(async move {
        match AssertUnwindSafe(pacing.pace(alarm, began)).catch_unwind().await {
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
    /// Starts the run's time.
    fn begin(&self) -> Offset {
        let (now, load) = (self.context.clock.now(), &self.load);
        let measured_end = now + load.duration.saturating_sub(load.cool_down);
        self.context.recorder.window().open(now + load.warm_up, measured_end);
        now
    }

    /// Begins or drops each iteration when it is due, and ends the run when its time is over.
    async fn pace(self: &Arc<Self>, mut alarm: Alarm, began: Offset) -> std::io::Result<()> {
        let Context { clock, halt, plan, .. } = &*self.context;
        let end = began + self.load.duration;
        for (number, due) in (0u64..).zip(self.load.arrivals(plan.seed)) {
            let due = began + due;
            tokio::select! {
                biased;
                () = halt.finish.cancelled() => return Ok(()),
                waited = alarm.until(due) => waited?,
            }
            if clock.now() >= end + CATCH_UP {
                break;
            }
            if !self.context.spending.has_permits() {
                // The run ends when the last request has that was permitted.
                halt.finish.cancelled().await;
                return Ok(());
            }
            self.arrive(number, due);
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

    /// Begins the iteration of arrival `number`, or drops it where too many are in flight.
    fn arrive(self: &Arc<Self>, number: u64, due: Offset) {
        let context = &self.context;
        let kind = self.kind(number);
        if context.recorder.users() >= self.load.max_in_flight {
            context.drop_arrival(number, kind, due, &self.full);
            self.goal.iteration_ended();
            return;
        }
        let active = Arc::clone(&context.recorder).user();
        let mut session =
            self.lock().pop().unwrap_or_else(|| Session::new(Arc::clone(context), 0, kind));
        session.assign(number, kind);
        let floor = Arc::clone(self);
        self.running.spawn(async move {
            match AssertUnwindSafe(session.iterate(due)).catch_unwind().await {
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
