//! The rounds of a gate: made one after the other until everything is decided, or the time is over.

use std::time::{Duration, Instant};

use rand::RngExt as _;
use serde_json::{Value, json};

use crate::analysis::gate::{FEWEST_ROUNDS, Judge, Looks, Round, Subject, is_clear};
use crate::error::{Error, Exit};
use crate::observe::pressure::Pressure;
use crate::plan::{Plan, Stop, Target};
use crate::report::gate::words;
use crate::stats::bootstrap::generator;
use crate::store::folder::RunFolder;
use crate::store::gate::{self as stored, GateEnd, GateRecord, RoundRecord, SetAside};
use crate::store::run::Run;

use super::super::bench::pair::{Pair, PairBench};
use super::super::output::Output;
use super::super::report::{damaged, read};
use super::super::signals;
use super::{Gate, rules, tell};

/// Rounds of a plan: enough to know the noise to a quarter of it.
const PLAN_ROUNDS: u32 = 10;
/// Where more rounds than this are no valid runs, and more than half, the gate gives up.
const MOST_SET_ASIDE: usize = 6;

/// A gate under way.
pub struct Session<'a> {
    gate: &'a Gate,
    bench: PairBench,
    folder: &'a RunFolder,
    record: GateRecord,
    subjects: Vec<Subject>,
    rounds: Vec<Round>,
    started: Instant,
    output: &'a Output,
}

/// What came of an attempt at a round.
enum Made {
    Round(Box<(RoundRecord, Round)>),
    SetAside(SetAside),
    End(GateEnd),
}

impl<'a> Session<'a> {
    /// A gate whose rounds are to be made.
    pub fn new(
        gate: &'a Gate,
        bench: PairBench,
        folder: &'a RunFolder,
        record: GateRecord,
        subjects: Vec<Subject>,
        output: &'a Output,
    ) -> Session<'a> {
        let started = Instant::now();
        Session { gate, bench, folder, record, subjects, rounds: Vec::new(), started, output }
    }

    /// Makes the rounds, and writes down how the gate ended. What failed is handed back where there are
    /// rounds to tell of, and is an error where there are none.
    pub fn carry_out(mut self) -> Result<Option<Error>, Error> {
        tell::announce(&self.record, self.folder, self.output);
        self.save()?;
        let (end, error) = match self.all() {
            Ok(end) => (end, None),
            Err(Error::Interrupted(Exit::Terminated)) => (GateEnd::Terminated, None),
            Err(Error::Interrupted(_)) => (GateEnd::Interrupted, None),
            Err(error) => (GateEnd::Failed(error.to_string()), Some(error)),
        };
        self.record.end = Some(end);
        self.save()?;
        match error {
            Some(error) if self.rounds.is_empty() => Err(error),
            error => Ok(error),
        }
    }

    fn all(&mut self) -> Result<GateEnd, Error> {
        let rules = rules(&self.gate.margins, self.gate.alpha, self.gate.beta)?;
        let mut order = generator(self.gate.plans[0].seed);
        let mut judge: Option<Judge> = None;
        for attempt in 1u32.. {
            if let Some(end) = self.gives_up(attempt) {
                return Ok(end);
            }
            let base_first = order.random::<bool>();
            match self.attempt(attempt, base_first)? {
                Made::End(end) => return Ok(end),
                Made::SetAside(round) => {
                    tell::say(
                        self.output,
                        &format!(
                            "  round {attempt} counts for nothing: {}",
                            round.reasons.join("; ")
                        ),
                    );
                    self.record.set_aside.push(round);
                }
                Made::Round(made) => {
                    self.record.rounds.push(made.0);
                    self.rounds.push(made.1);
                }
            }
            self.record.took = self.started.elapsed();
            let count = self.rounds.len() as u32;
            let judge = judge.get_or_insert_with(|| {
                Judge::new(rules.clone(), self.subjects.clone(), self.looks(attempt))
            });
            let most = judge.looks().most();
            self.record.most_rounds = Some(most);
            self.save()?;
            let is_look = judge.looks().has(count) && self.gate.effects.is_empty();
            let judged = is_look.then(|| judge.judge(&self.rounds));
            tell::say(self.output, &words::progress(count, most, judged.as_deref()));
            if judged.is_some_and(|judged| is_clear(&judged)) {
                return Ok(GateEnd::Decided);
            }
            if count >= most {
                return Ok(GateEnd::AllRounds);
            }
        }
        Ok(GateEnd::AllRounds)
    }

    /// How many rounds there can be: as many as the time allows, by what the first attempt took.
    fn looks(&self, attempts: u32) -> Looks {
        if !self.gate.effects.is_empty() {
            return Looks::up_to(PLAN_ROUNDS);
        }
        let one = self.started.elapsed() / attempts;
        let most = self.gate.most_time.as_secs_f64() / one.as_secs_f64().max(0.001);
        Looks::up_to((most as u32).max(FEWEST_ROUNDS))
    }

    /// Why there is no further attempt: the time does not allow one, or too many came to nothing.
    fn gives_up(&self, attempt: u32) -> Option<GateEnd> {
        let (made, aside) = (self.rounds.len(), self.record.set_aside.len());
        if aside > MOST_SET_ASIDE && aside > made {
            let last = self.record.set_aside.last().map(|it| it.reasons.join("; "));
            return Some(GateEnd::Failed(format!(
                "{aside} of {} rounds were no valid runs: {}",
                aside + made,
                last.unwrap_or_default()
            )));
        }
        let done = attempt - 1;
        let elapsed = self.started.elapsed();
        let one = elapsed.checked_div(done).unwrap_or(Duration::ZERO);
        // The time of a round varies a little: the last one may take what is over by a tenth of one.
        let is_over = done > 0 && elapsed + one.mul_f64(0.9) > self.gate.most_time;
        (is_over && self.gate.effects.is_empty()).then_some(GateEnd::TimeOver)
    }

    /// Makes one round.
    fn attempt(&mut self, attempt: u32, base_first: bool) -> Result<Made, Error> {
        signals::check()?;
        let reports = self.folder.path().join("rounds");
        // Each start of each gate its own; TOML's numbers have 63 bits.
        let luck = (self.gate.plans[0].seed % (1 << 32)) << 20 | u64::from(attempt) << 1;
        let plan = |side: u64, plan: &Plan| Plan {
            reports: reports.clone(),
            // Both versions get the same inputs; each round gets others.
            seed: plan.seed.wrapping_add(u64::from(attempt)),
            target: with_luck(&plan.target, luck.wrapping_add(side)),
            ..plan.clone()
        };
        let [base, head] = &self.gate.plans;
        let plans = [plan(0, base), plan(1, head)];
        let names = [format!("{attempt:03}-base"), format!("{attempt:03}-head")];
        let pressure = Pressure::start();
        let made = self.bench.measure_both([&names[0], &names[1]], plans, base_first)?;
        let pressure = pressure.share();
        let Pair { folders: [base, head], gone } = made;
        let [(of_base, base_is), (of_head, head_is)] = [read(&base)?, read(&head)?];
        if let Some(end) = ended(gone, [&of_base, &of_head], attempt) {
            return Ok(Made::End(end));
        }
        let folders = names.map(|name| format!("rounds/{name}"));
        let mut reasons: Vec<String> = Vec::new();
        for (side, validity) in [("base", base_is.validity), ("head", head_is.validity)] {
            reasons.extend(validity.reasons.iter().map(|reason| format!("{side}: {reason}")));
        }
        if !reasons.is_empty() {
            return Ok(Made::SetAside(SetAside { folders, reasons }));
        }
        let number = self.rounds.len() as u32 + 1;
        let round = Round::of(number, [&of_base, &of_head], &self.subjects)
            .map_err(damaged(self.folder))?;
        let values: Value = json!(round.values);
        let record = RoundRecord { number, folders, base_first, pressure, values };
        Ok(Made::Round(Box::new((record, round))))
    }

    fn save(&self) -> Result<(), Error> {
        stored::write(self.folder, &self.record, Value::Null)
    }
}

/// A reference service draws its times and faults from a seed: with one and the same, every start would
/// have the same luck, and noise would look smaller than it is. One whose seed was named keeps it.
fn with_luck(target: &Target, seed: u64) -> Target {
    let mut target = target.clone();
    if let Target::Reference(service) = &mut target {
        service.options.entry("seed".to_owned()).or_insert_with(|| seed.to_string());
    }
    target
}

/// How the gate ends where a version has ended by itself.
fn ended(gone: [bool; 2], runs: [&Run; 2], round: u32) -> Option<GateEnd> {
    let place = gone.iter().position(|gone| *gone)?;
    let end = runs[place].end.as_ref();
    let end = end.filter(|end| end.stop == Stop::TargetEnded);
    let said = end.and_then(|end| end.reason.clone());
    let said = said.unwrap_or_else(|| "the target ended during the run".to_owned());
    Some(GateEnd::Gone { is_head: place == 1, round, said })
}
