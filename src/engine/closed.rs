//! The closed model: Goose spawns, weighs, stages and counts users; each of its iterations is
//! one of our flow's. Goose's client, metrics, throttle, waits and controllers stay off.

use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use futures_util::FutureExt as _;
use goose::config::{GooseConfiguration, GooseDefault, GooseDefaultType as _};
use goose::goose::{GooseUser, Scenario, Transaction};
use goose::{GooseAttack, GooseError};
use tokio::sync::mpsc;
use tokio::time::sleep_until;
use tokio_util::sync::CancellationToken;

use crate::error::Error;
use crate::flow::{Context, Session};
use crate::measure::recorder::ActiveUser;
use crate::measure::sample::Offset;
use crate::plan::{Ending, Stop};
use crate::schedule::{ClosedLoad, Stage};

use super::end::{Goal, wind_down};
use super::quiet::QuietStdout;

/// Goose looks twice a second whether it is to stop, and then asks its users to leave; until then
/// they idle in steps of this length.
const IDLE: Duration = Duration::from_millis(100);
/// Between two requests to Goose to stop: one that comes before it has started is forgotten.
const ASK_AGAIN: Duration = Duration::from_millis(500);
/// Users a second where no start rate is given: all at once, as far as Goose's clock can tell.
const AT_ONCE: f64 = 1_000_000.0;

/// What the users of one run share with the one who ends it.
#[derive(Debug)]
struct Crew {
    context: Arc<Context>,
    load: ClosedLoad,
    /// When the first user started: the run's windows are counted from here.
    began: OnceLock<Offset>,
    next_user: AtomicU32,
    permits: Permits,
    goal: Goal,
    /// Nothing is in flight any more: users without work may leave.
    released: CancellationToken,
}

/// Iterations that may still be begun.
#[derive(Debug)]
struct Permits {
    /// By whichever user.
    any: AtomicU64,
    /// By users of each scope: what an earlier part of the run left unfinished. Kept apart, or users of
    /// one scenario could use up what is left, and a row of another would stay undone for ever.
    again: Vec<AtomicU64>,
}

impl Permits {
    /// Permits for so many iterations, of which each scope must do some.
    fn new(iterations: Option<u64>, unfinished: Vec<u64>) -> Permits {
        let reserved: u64 = unfinished.iter().sum();
        let any = iterations.map_or(u64::MAX, |iterations| iterations.saturating_sub(reserved));
        Permits {
            any: AtomicU64::new(any),
            again: unfinished.into_iter().map(AtomicU64::new).collect(),
        }
    }

    /// Takes one for a user of `scope`; says whether there was one.
    fn take(&self, scope: u16) -> bool {
        let one = |left: &AtomicU64| {
            let less = |left: u64| left.checked_sub(1);
            left.fetch_update(Ordering::AcqRel, Ordering::Acquire, less).is_ok()
        };
        self.again.get(usize::from(scope)).is_some_and(one) || one(&self.any)
    }
}

/// Runs `load` with Goose users until its time is over, its iterations are done, or an interrupt.
pub async fn run(
    context: Arc<Context>,
    load: ClosedLoad,
    interrupts: &mut mpsc::Receiver<Ending>,
) -> Result<Ending, Error> {
    let iterations = context.left_of(load.iterations);
    let (goal, mut ended) = Goal::new(iterations);
    let permits = Permits::new(iterations, context.feeder.unfinished());
    let crew = Arc::new(Crew {
        context: Arc::clone(&context),
        load,
        began: OnceLock::new(),
        next_user: AtomicU32::new(0),
        permits,
        goal,
        released: CancellationToken::new(),
    });
    if let Some(began) = context.earlier.as_ref().and_then(|earlier| earlier.began) {
        // Its time goes on, though nothing may be left for its users to do.
        crew.began.get_or_init(|| crew.begin(began));
    }
    let attack = attack(&crew).map_err(goose_failed)?;
    // It stays triggered from one run of this process to the next.
    goose::reset_killswitch();
    let _quiet = QuietStdout::begin();
    let mut attack = tokio::spawn(attack.execute());
    let ending = tokio::select! {
        Some(ending) = interrupts.recv() => ending,
        Some(ending) = ended.recv() => ending,
        ending = context.spending.over() => ending,
        result = &mut attack => return Err(ended_by_itself(result)),
    };
    let alone = std::slice::from_ref(&context);
    wind_down(alone, ending.stop, interrupts, || context.recorder.in_flight() <= 0).await;
    crew.released.cancel();
    let result = loop {
        goose::trigger_killswitch("the run is over");
        tokio::select! {
            result = &mut attack => break result,
            () = tokio::time::sleep(ASK_AGAIN) => {}
        }
    };
    match result {
        Ok(Ok(_)) => Ok(ending),
        Ok(Err(error)) => Err(goose_failed(error)),
        Err(error) => Err(Error::CannotRun(format!("the load driver failed: {error}"))),
    }
}

fn goose_failed(error: GooseError) -> Error {
    Error::CannotRun(format!("the load driver refused to start: {error}"))
}

fn ended_by_itself<T>(result: Result<Result<T, GooseError>, tokio::task::JoinError>) -> Error {
    Error::CannotRun(match result {
        Ok(Ok(_)) => "the load driver ended before the run did".to_owned(),
        Ok(Err(error)) => format!("the load driver failed: {error}"),
        Err(error) => format!("the load driver failed: {error}"),
    })
}

/// The Goose attack of a run: a Goose scenario for each kind of user.
fn attack(crew: &Arc<Crew>) -> Result<GooseAttack, GooseError> {
    let context = &crew.context;
    let load = crew.ahead();
    // Goose asks for a host and for a client for each user; neither is ever used.
    let client = goose::client::GooseClientBuilder::new().without_cookies();
    let mut attack = *GooseAttack::initialize_with_config(configuration(&load))?
        .set_client_builder_without_cookies(client)?
        .set_default(GooseDefault::Host, "http://127.0.0.1")?;
    if load.len() > 1 {
        attack = *attack.set_default(GooseDefault::TestPlan, stages(&load).as_str())?;
    }
    for (kind, user) in context.plan.scenario.users.iter().enumerate() {
        let scenario = Scenario::new(&user.name)
            .set_weight(user.weight as usize)?
            .register_transaction(transaction(Arc::clone(crew), kind));
        attack = attack.register_scenario(scenario);
    }
    Ok(attack)
}

#[allow(clippy::field_reassign_with_default, reason = "private fields: no struct expression")]
fn configuration(stages: &[Stage]) -> GooseConfiguration {
    let mut configuration = GooseConfiguration::default();
    configuration.quiet = 3;
    configuration.no_metrics = true;
    configuration.no_print_metrics = true;
    configuration.no_error_summary = true;
    configuration.no_telnet = true;
    configuration.no_websocket = true;
    if let [only] = stages {
        let ramp = only.ramp.as_secs_f64();
        let rate = if ramp > 0.0 { f64::from(only.users) / ramp } else { AT_ONCE };
        // Refused together with a plan of several stages, where it has no meaning.
        configuration.no_reset_metrics = true;
        configuration.users = Some(only.users as usize);
        configuration.increase_rate = Some(rate.to_string());
    }
    configuration
}

/// Several stages as a Goose test plan, whose times are whole seconds. The last one is held for
/// longer than any run lasts: when the run ends is for our clock to say.
fn stages(stages: &[Stage]) -> String {
    const HELD: &str = "87600h";
    let mut steps = Vec::new();
    let mut users = 0;
    for stage in stages {
        // Goose never leaves a step that keeps its users for no time at all.
        if stage.users != users || !stage.ramp.is_zero() {
            steps.push(format!("{},{}s", stage.users, stage.ramp.as_secs()));
        }
        if !stage.hold.is_zero() {
            steps.push(format!("{},{}s", stage.users, stage.hold.as_secs()));
        }
        users = stage.users;
    }
    steps.push(format!("{users},{HELD}"));
    steps.join(";")
}

/// A user between its iterations. Goose clones session data, hence the shared handle; nobody else
/// ever locks it.
type Seat = Arc<Mutex<Option<Box<Member>>>>;

/// A running user.
#[derive(Debug)]
struct Member {
    session: Session,
    /// When the next iteration is due.
    due: Offset,
    _active: ActiveUser,
}

fn transaction(crew: Arc<Crew>, kind: usize) -> Transaction {
    Transaction::new(Arc::new(move |user: &mut GooseUser| {
        let crew = Arc::clone(&crew);
        Box::pin(async move {
            let seat = seat(user);
            let taken = lock(&seat).take();
            let mut member = taken.unwrap_or_else(|| Box::new(crew.admit(kind)));
            let lived = AssertUnwindSafe(crew.iterate(&mut member)).catch_unwind().await;
            if let Err(panic) = lived {
                crew.goal.panicked(&*panic);
            }
            *lock(&seat) = Some(member);
            Ok(())
        })
    }))
}

fn lock(seat: &Seat) -> std::sync::MutexGuard<'_, Option<Box<Member>>> {
    seat.lock().unwrap_or_else(PoisonError::into_inner)
}

fn seat(user: &mut GooseUser) -> Seat {
    if let Some(seat) = user.get_session_data::<Seat>() {
        return Arc::clone(seat);
    }
    let seat = Seat::default();
    user.set_session_data(Arc::clone(&seat));
    seat
}

impl Crew {
    /// A new user; the first one sets the run's windows.
    fn admit(self: &Arc<Self>, kind: usize) -> Member {
        let context = &self.context;
        self.began.get_or_init(|| self.begin(context.clock.now()));
        let user = self.next_user.fetch_add(1, Ordering::Relaxed);
        Member {
            session: Session::new(Arc::clone(context), user, kind),
            due: context.clock.now(),
            _active: Arc::clone(&context.recorder).user(),
        }
    }

    /// The stages that lie ahead: all of them, but in a run that goes on.
    fn ahead(&self) -> Vec<Stage> {
        let passed = self.began.get().map(|began| self.context.clock.now().since(*began));
        self.load.stages_after(passed.unwrap_or_default())
    }

    /// The run's time began at `began`; has it ended when that is over.
    fn begin(self: &Arc<Self>, began: Offset) -> Offset {
        let Context { clock, recorder, halt, .. } = &*self.context;
        let end = began + self.load.duration();
        let measured_end = began + self.load.duration().saturating_sub(self.load.cool_down);
        recorder.window().open(began + self.load.warm_up, measured_end);
        halt.end_at(end);
        let (crew, finish, end) = (Arc::clone(self), halt.finish.clone(), clock.instant(end));
        tokio::spawn(async move {
            tokio::select! {
                () = sleep_until(end) => crew.goal.end(Stop::Duration),
                () = finish.cancelled() => {}
            }
        });
        began
    }

    /// One iteration and the think time after it, or idling where the run is over.
    async fn iterate(&self, member: &mut Member) {
        let Context { clock, halt, .. } = &*self.context;
        if halt.is_finishing(clock.now()) || !self.permits.take(member.session.scope()) {
            self.released.cancelled().await;
            tokio::time::sleep(IDLE).await;
            return;
        }
        let (_, think) = member.session.iterate(member.due).await;
        self.goal.iteration_ended();
        member.due = clock.now() + think;
        // An iteration that fails at once (no descriptor left) never waits for anything: without
        // this, one such user would keep its thread from all others.
        tokio::task::coop::consume_budget().await;
        if think > Duration::ZERO {
            tokio::select! {
                () = sleep_until(clock.instant(member.due)) => {}
                () = halt.finish.cancelled() => {}
            }
        }
    }
}
