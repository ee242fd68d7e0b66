//! The open model: iterations start when they are due, whether earlier ones have ended or not. Two
//! targets may be loaded side by side, at the same moments.

use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::select_all;
use rand::RngExt as _;
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

/// What the arrivals at one target share.
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

/// Runs `load` at the targets of all `contexts` until its time is over, its iterations are done, or an
/// interrupt. Where there are several, they differ in their targets alone.
pub async fn run(
    contexts: &[Arc<Context>],
    load: OpenLoad,
    interrupts: &mut mpsc::Receiver<Ending>,
) -> Result<Ending, Error> {
    let context = &contexts[0];
    let (goal, mut ended) = Goal::new(context.left_of(load.iterations));
    let alarm = Alarm::new(context.clock)
        .map_err(|error| Error::CannotRun(format!("the system gives no timer: {error}")))?;
    let begin = Begin::now(contexts, &load);
    let others = contexts[1..].iter().map(|it| (it, goal.beside(it.left_of(load.iterations))));
    let others: Vec<_> = others.collect();
    let lanes = std::iter::once((context, goal)).chain(others);
    let floors: Vec<Arc<Floor>> =
        lanes.map(|(context, goal)| Arc::new(Floor::new(context, &load, goal))).collect();
    let pacing = floors.clone();
    floors[0].running.spawn(async move {
        let goal = &pacing[0].goal;
        match AssertUnwindSafe(pace(&pacing, alarm, begin)).catch_unwind().await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                let reason = format!("the timer of arrivals failed: {error}");
                goal.end(Ending::because(Stop::Failed, reason));
            }
            Err(panic) => goal.panicked(&*panic),
        }
    });
    let spent = contexts.iter().map(|context| Box::pin(context.spending.over()));
    let ending = tokio::select! {
        Some(ending) = interrupts.recv() => ending,
        Some(ending) = ended.recv() => ending,
        (ending, ..) = select_all(spent) => ending,
    };
    // Not only requests: an iteration that was just begun has not sent its first one yet.
    let is_quiet = || contexts.iter().all(|context| context.recorder.users() == 0);
    wind_down(contexts, ending.stop, interrupts, is_quiet).await;
    for floor in &floors {
        floor.running.close();
        floor.running.wait().await;
    }
    Ok(ending)
}

impl Begin {
    /// Starts the time of all `contexts`, or goes on with that of the first.
    fn now(contexts: &[Arc<Context>], load: &OpenLoad) -> Begin {
        let part = contexts[0].clock.now();
        let earlier = contexts[0].earlier.as_ref();
        let run = earlier.and_then(|earlier| earlier.began).unwrap_or(part);
        let measured_end = run + load.duration.saturating_sub(load.cool_down);
        for context in contexts {
            context.recorder.window().open(run + load.warm_up, measured_end);
        }
        Begin { run, part }
    }
}

/// Begins or drops each iteration of all `floors` when it is due, and ends the run when its time is
/// over.
async fn pace(floors: &[Arc<Floor>], mut alarm: Alarm, begin: Begin) -> std::io::Result<()> {
    let first = &floors[0];
    let Context { clock, halt, .. } = &*first.context;
    let end = begin.run + first.load.duration;
    for arrival in first.arrivals(begin) {
        tokio::select! {
            biased;
            () = halt.finish.cancelled() => return Ok(()),
            waited = alarm.until(arrival.due) => waited?,
        }
        if clock.now() >= end.max(begin.part) + CATCH_UP {
            break;
        }
        if !floors.iter().all(|floor| floor.context.spending.has_permits()) {
            // The run ends when the last request has that was permitted.
            halt.finish.cancelled().await;
            return Ok(());
        }
        for floor in in_order(floors, first.context.plan.seed, arrival.number) {
            floor.arrive(arrival);
        }
        // After a delay, many are due at once: what has begun must get its turn between them.
        tokio::task::coop::consume_budget().await;
    }
    tokio::select! {
        () = halt.finish.cancelled() => {}
        waited = alarm.until(end) => {
            waited?;
            first.goal.end(Stop::Duration);
        }
    }
    Ok(())
}

/// The order in which an arrival comes to the targets: whoever is second finds the machine busier.
fn in_order(floors: &[Arc<Floor>], seed: u64, arrival: u64) -> impl Iterator<Item = &Arc<Floor>> {
    let first = match floors.len() {
        1 => 0,
        several => stream(seed, 0, arrival, Purpose::Order).random_range(0..several),
    };
    floors[first..].iter().chain(&floors[..first])
}

impl Floor {
    fn new(context: &Arc<Context>, load: &OpenLoad, goal: Goal) -> Floor {
        Floor {
            context: Arc::clone(context),
            full: format!("no place among {} in flight", load.max_in_flight),
            load: load.clone(),
            free: Mutex::default(),
            goal,
            running: TaskTracker::new(),
        }
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
