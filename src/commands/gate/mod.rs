//! `gander gate SCENARIO --base A --head B`: two versions are loaded side by side, round by round,
//! until it is clear whether the head is worse.

mod github;
mod rounds;
mod tell;

use std::path::PathBuf;
use std::time::Duration;

use jiff::Zoned;
use serde_json::json;

use crate::analysis::compare::{Margins, Quantity, Statistic};
use crate::analysis::gate::round::values_needed;
use crate::analysis::gate::{Rules, Subject};
use crate::analysis::resources::Resources;
use crate::error::{Error, Exit};
use crate::measure::metric::Metric;
use crate::measure::resource::Observed;
use crate::observe::environment::environment;
use crate::plan::{Plan, Target};
use crate::report::format;
use crate::scenario::slo::Slo;
use crate::schedule::{self, Arrivals, LoadModel, OpenLoad, RateSpan, Spread, show_duration};
use crate::store::folder::RunFolder;
use crate::store::gate::{GateRate, GateRecord, SCHEMA_VERSION};

use super::bench::dated;
use super::bench::pair::PairBench;
use super::output::Output;
use super::report::read;
use github::Step;
use rounds::Session;
pub use tell::finish;

/// Of what the base does alone in closed load, at most this share is sent to each version: a service
/// that is nearly full measures its queues.
const SHARE: f64 = 0.6;
/// Both versions together may keep this share of the machine busy: what is nearly full measures its
/// own queues.
const BUSY: f64 = 0.5;
/// A round's measured time where none is given; longer where its p95 needs it …
pub const SLICE: Duration = Duration::from_secs(4);
/// … and so many rounds fit into the time.
const ROUNDS: u32 = 10;

/// A gate that is to be carried out.
pub struct Gate {
    /// What is sent to each version: base, head. Their loads are set round by round.
    pub plans: [Plan; 2],
    /// What a round is like.
    pub shape: Shape,
    /// Iterations a second at each version; `None` where the base is asked first what it can do, in
    /// closed load, which is that of its plan.
    pub rate: Option<f64>,
    /// The time that all rounds may take.
    pub most_time: Duration,
    /// Margins in place of the usual ones, as given.
    pub margins: Vec<String>,
    /// Chance of a false alarm.
    pub alpha: f64,
    /// Chance to pass a figure that is worse by its margin.
    pub beta: f64,
    /// Figures of each step too.
    pub each_step: bool,
    /// Rules that the head must keep.
    pub slos: Vec<Slo>,
    /// Where its folder goes.
    pub reports: PathBuf,
    /// Sizes of worsenings for which it is to say how long a gate must run: base and head are the same
    /// then. None where it is to decide.
    pub effects: Vec<f64>,
}

/// What a round is like.
#[derive(Debug, Clone, Copy)]
pub struct Shape {
    /// Load before the measured time.
    pub warm_up: Duration,
    /// Measured time; `None` where it is as long as the rate makes it.
    pub slice: Option<Duration>,
    /// How arrivals are spread.
    pub spread: Spread,
    /// Most iterations at the same time at each version.
    pub max_in_flight: u32,
    /// How long requests in flight may take to end.
    pub drain: Duration,
}

impl Shape {
    /// How long a round is measured, at `per_second` iterations a second: for its p95, and within
    /// `most_time`.
    fn slice(&self, per_second: f64, most_time: Duration) -> Duration {
        self.slice.unwrap_or_else(|| {
            // Some more than it needs, for not every response succeeds.
            let needed = values_needed(0.95) as f64 * 1.2 / per_second;
            let longest = (most_time / ROUNDS).saturating_sub(self.warm_up).as_secs_f64();
            let whole = needed.min(longest).ceil().max(SLICE.as_secs_f64());
            Duration::from_secs_f64(whole)
        })
    }

    /// The load of a round of `slice` at `per_second` iterations a second.
    fn load(&self, per_second: f64, slice: Duration) -> OpenLoad {
        let rate = schedule::Rate { per_second };
        let stages = RateSpan { from: rate, to: rate };
        let stages = stages.stages(self.warm_up, slice, Duration::ZERO);
        OpenLoad {
            arrivals: Arrivals::Rates { stages, spread: self.spread },
            duration: self.warm_up + slice,
            warm_up: self.warm_up,
            cool_down: Duration::ZERO,
            iterations: None,
            max_in_flight: self.max_in_flight,
            drain: self.drain,
        }
    }
}

impl Gate {
    /// Whether both versions can be started anew for each round.
    fn restarts(&self) -> bool {
        let is_running = |plan: &Plan| matches!(plan.target, Target::Running { .. });
        !self.plans.iter().any(is_running)
    }
}

/// How a gate with these margins decides.
fn rules(margins: &[String], alpha: f64, beta: f64) -> Result<Rules, Error> {
    let mut all = Margins::default();
    for margin in margins {
        all.set(margin).map_err(|why| Error::BadInput(format!("--margin {why}")))?;
    }
    Ok(Rules { margins: all, alpha, beta })
}

/// Carries a gate out, shows its report, and tells the CI system that it runs in.
pub fn gate(gate: Gate, output: Output) -> Result<Exit, Error> {
    let step = Step::of_environment();
    let scenario = gate.plans[0].scenario.name.clone();
    let exit = carry_out(gate, &output, &step);
    if let Err(error) = &exit {
        step.failed(&scenario, error, &output)?;
    }
    exit
}

fn carry_out(mut gate: Gate, output: &Output, step: &Step) -> Result<Exit, Error> {
    // Whatever is wrong with the rules is found before anything is started.
    rules(&gate.margins, gate.alpha, gate.beta)?;
    if let Some(rate) = gate.rate {
        enough_for_a_median(rate, gate.shape.slice(rate, gate.most_time))?;
    }
    let mut bench = PairBench::set_up()?;
    let name = format!("gate-{}", gate.plans[0].scenario.name);
    let folder = RunFolder::create(&gate.reports, &dated(&name))?;
    let rate = match gate.rate {
        Some(per_second) => GateRate { per_second, of_alone: None },
        None => calibrate(&mut bench, &gate, &folder, output)?,
    };
    let slice = gate.shape.slice(rate.per_second, gate.most_time);
    enough_for_a_median(rate.per_second, slice)?;
    for plan in &mut gate.plans {
        plan.load = LoadModel::Open(gate.shape.load(rate.per_second, slice));
    }
    let (subjects, left_out) = subjects(&gate, rate.per_second * slice.as_secs_f64());
    let record = GateRecord { slice, left_out, ..record(&gate, rate, &subjects) };
    let made = Session::new(&gate, bench, &folder, record, subjects, output).carry_out();
    let failed = match made {
        Ok(failed) => failed,
        Err(error) => {
            // There is nothing to show; a CI system looks for its files all the same.
            if let Ok(saved) = tell::save(&folder) {
                step.tell(saved.for_ci.as_ref(), &folder, output)?;
            }
            return Err(error);
        }
    };
    let mut saved = tell::save(&folder)?;
    let for_ci = saved.for_ci.take();
    let exit = saved.show(&folder, output)?;
    step.tell(for_ci.as_ref(), &folder, output)?;
    failed.map_or(Ok(exit), Err)
}

/// What the base does alone in closed load, and the share of it that is sent in the gate.
fn calibrate(
    bench: &mut PairBench,
    gate: &Gate,
    folder: &RunFolder,
    output: &Output,
) -> Result<GateRate, Error> {
    tell::say(output, "no rate is given: asking the base alone what it can do");
    let plan = Plan { reports: folder.path().to_owned(), ..gate.plans[0].clone() };
    let made = bench.measure("alone", plan)?;
    let (run, assessment) = read(&made)?;
    let seconds = run.window().length().as_secs_f64();
    let ok = assessment.summary.rows.as_ref().and_then(|rows| rows.ok_per_second);
    let alone = ok.filter(|ok| *ok > 0.0 && seconds > 0.0).ok_or_else(|| {
        let why = assessment.validity.reasons.first().cloned().unwrap_or_default();
        Error::CannotRun(format!("the base alone carried no iteration out: {why}"))
    })?;
    let used = [Observed::Target, Observed::Generator]
        .map(|who| Resources::of(&run, who, run.window(), None).cpu_mean_percent.unwrap_or(0.0));
    let cores = run.start.environment.usable_cores.unwrap_or(1) as f64;
    let busy = used.iter().sum::<f64>() / 100.0 / cores;
    let share = SHARE.min(BUSY / 2.0 / busy);
    let rate = GateRate { per_second: rounded(alone * share), of_alone: Some(alone) };
    tell::say(
        output,
        &format!(
            "the base alone does {}/s: each version gets {}/s",
            format::amount(alone),
            format::amount(rate.per_second)
        ),
    );
    Ok(rate)
}

/// To two digits: a rate that a person would write.
fn rounded(rate: f64) -> f64 {
    let unit = 10f64.powf(rate.log10().floor() - 1.0);
    (rate / unit).round() * unit
}

/// Part of the responses of a round that is counted on: not all succeed.
const COUNTED_ON: f64 = 0.9;

/// An error where not even the median of response times could be judged: a gate that looks at none would
/// let everything through that is merely slower.
fn enough_for_a_median(rate: f64, slice: Duration) -> Result<(), Error> {
    let needed = values_needed(0.5) as f64 / COUNTED_ON;
    if rate * slice.as_secs_f64() >= needed {
        return Ok(());
    }
    let slice = Duration::from_secs_f64((needed / rate).ceil());
    Err(Error::BadInput(format!(
        "at {}/s a round is too short to judge any response time: it needs {:.0} responses; give --slice \
         {} and --max-time {} at least",
        format::amount(rate),
        needed.ceil(),
        show_duration(slice),
        show_duration((slice + Duration::from_secs(2)) * ROUNDS)
    )))
}

/// What is judged where a round has so many responses, and what cannot be, with the reason. Decided before anything is
/// measured: a figure is never left out for what it showed.
fn subjects(gate: &Gate, responses: f64) -> (Vec<Subject>, Vec<(String, String)>) {
    let scenario = &gate.plans[0].scenario;
    let times = [Statistic::P50, Statistic::P95, Statistic::P99];
    let mut wanted: Vec<Subject> =
        times.map(|it| Subject::of_all(Quantity::Time(Metric::ResponseTime, it))).into();
    if scenario.steps.iter().any(|step| step.stream.is_some()) {
        wanted.extend(times.map(|it| Subject::of_all(Quantity::Time(Metric::Ttft, it))));
    }
    wanted.extend([Quantity::Throughput, Quantity::Failures].map(Subject::of_all));
    wanted.extend([Quantity::CpuPerRequest, Quantity::Memory].map(Subject::of_all));
    if gate.each_step && scenario.steps.len() > 1 {
        for step in &scenario.steps {
            let of = |it| Subject {
                step: Some(step.name.clone()),
                quantity: Quantity::Time(Metric::ResponseTime, it),
            };
            wanted.extend([Statistic::P50, Statistic::P95].map(of));
        }
    }
    let mut left_out = Vec::new();
    wanted.retain(|subject| {
        let Quantity::Time(_, statistic) = subject.quantity else { return true };
        let needed = values_needed(statistic.quantile().unwrap_or(0.5)) as f64;
        // An iteration is at least one request, and of a step at most one is counted on.
        let is_enough = responses * COUNTED_ON >= needed;
        if !is_enough {
            let why = format!(
                "a round has about {responses:.0} responses, and {needed} are needed: a higher --rate, \
                 or a longer --slice"
            );
            left_out.push((subject.label(), why));
        }
        is_enough
    });
    (wanted, left_out)
}

/// What is known of a gate before its first round.
fn record(gate: &Gate, rate: GateRate, subjects: &[Subject]) -> GateRecord {
    let [base, head] = &gate.plans;
    let scenario = &base.scenario;
    let redact = |text: &str| scenario.redactions().redact(text).into_owned();
    GateRecord {
        schema_version: SCHEMA_VERSION,
        scenario: scenario.name.clone(),
        about: scenario.summary.clone(),
        digest: scenario.digest.clone(),
        started_at: Zoned::now().strftime("%Y-%m-%dT%H:%M:%S%:z").to_string(),
        command_line: base.command_line.iter().map(|word| redact(word)).collect(),
        environment: environment(),
        seed: base.seed,
        sides: [base, head].map(|plan| redact(&plan.target.to_string())),
        restarts: gate.restarts(),
        rate,
        slice: Duration::ZERO,
        warm_up: gate.shape.warm_up,
        most_time: gate.most_time,
        margins: gate.margins.clone(),
        alpha: gate.alpha,
        beta: gate.beta,
        effects: gate.effects.clone(),
        slos: gate.slos.clone(),
        subjects: json!(subjects),
        left_out: Vec::new(),
        most_rounds: None,
        rounds: Vec::new(),
        set_aside: Vec::new(),
        took: Duration::ZERO,
        end: None,
    }
}
