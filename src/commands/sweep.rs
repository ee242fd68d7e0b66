//! `gander sweep`: one run after another along an axis, or in search of a limit, and the report on
//! all of them.

use std::io::{Write, stderr};
use std::time::Duration;

use jiff::Zoned;

use crate::analysis::capacity::search::{Judged, Next, Outcome, next};
use crate::analysis::capacity::{self, Capacity, Point};
use crate::analysis::diagnose::Diagnosis;
use crate::error::{Error, Exit};
use crate::measure::sample::Tokens;
use crate::plan::{Plan, Stop};
use crate::report;
use crate::scenario::model::Budget;
use crate::scenario::slo::Slo;
use crate::store::folder::RunFolder;
use crate::store::sweep::{
    self as stored, Axis, Dimension, PointRecord, SCHEMA_VERSION, Stage, SweepEnd, SweepRecord,
};

use super::bench::{Bench, dated};
use super::output::Output;
use super::report::{Saved, read, save};
use super::{pages, signals};

/// Runs of a search may become this many times as long, so that its rules rest on enough data.
const MOST_STRETCHED: f64 = 12.0;
/// How often a run of a search that could not be judged is repeated: once because it was disturbed,
/// once because it was too short.
const MOST_REPEATED: usize = 2;
/// A little longer than what the last run needed: the next one may be slower.
const MARGIN: f64 = 1.3;

/// What is to be swept.
pub struct Sweep {
    /// One or two axes.
    pub axes: Vec<Axis>,
    /// Rules whose limit is searched; none where all values are measured.
    pub until: Vec<String>,
    /// Runs of each point, or runs that confirm the answer.
    pub trials: u32,
    /// Distance of loads at which a search ends.
    pub resolution: f64,
    /// Makes the plan of a point; with a measured time, where it is not the one that was asked for.
    pub plan: PlanOf,
    /// The command line as given.
    pub command_line: Vec<String>,
}

/// Makes the plan of a point from its values on the axes.
pub type PlanOf = Box<dyn Fn(&[String], Option<Duration>) -> Result<Plan, Error>>;

/// Carries out the sweep, and shows its report.
pub fn sweep(sweep: Sweep, output: Output) -> Result<Exit, Error> {
    let places = places(&sweep.axes);
    // A value that no run can be made with is found before the first run.
    for place in &places {
        (sweep.plan)(place, None)?;
    }
    let first = places.first().ok_or_else(|| Error::BadInput("nothing to sweep".to_owned()))?;
    let plan = (sweep.plan)(first, None)?;
    let steps: Vec<&str> = plan.scenario.steps.iter().map(|step| step.name.as_str()).collect();
    let rules = sweep.until.iter().map(|rule| {
        Slo::parse(rule, &steps).map_err(|e| Error::BadInput(format!("--until {rule:?}: {e}")))
    });
    let until: Vec<Slo> = rules.collect::<Result<_, _>>()?;
    let bench = Bench::set_up(&plan.target)?;
    let folder =
        RunFolder::create(&plan.reports, &dated(&format!("sweep-{}", plan.scenario.name)))?;
    let redact = |word: &String| plan.scenario.redactions().redact(word).into_owned();
    let record = SweepRecord {
        schema_version: SCHEMA_VERSION,
        scenario: plan.scenario.name.clone(),
        variant: plan.scenario.variant.clone(),
        settings: plan.scenario.shown_settings(),
        started_at: Zoned::now().strftime("%Y-%m-%dT%H:%M:%S%:z").to_string(),
        command_line: sweep.command_line.iter().map(redact).collect(),
        seed: plan.seed,
        axes: sweep.axes.clone(),
        until,
        trials: sweep.trials,
        resolution: sweep.resolution,
        points: Vec::new(),
        end: None,
    };
    let (points, used) = (Vec::new(), Default::default());
    let mut session = Session { sweep, bench, folder, record, points, longer: None, used, output };
    session.save()?;
    let ended = match session.record.until.is_empty() {
        true => session.all(&places),
        false => session.search(),
    };
    session.finish(ended)
}

/// All combinations of the axes' values; the first axis varies fastest.
fn places(axes: &[Axis]) -> Vec<Vec<String>> {
    axes.iter().rev().fold(vec![Vec::new()], |rests: Vec<Vec<String>>, axis| {
        let with = |rest: &Vec<String>| {
            let rest = rest.clone();
            axis.values.iter().map(move |value| [vec![value.clone()], rest.clone()].concat())
        };
        rests.iter().flat_map(with).collect()
    })
}

/// A sweep under way.
struct Session {
    sweep: Sweep,
    bench: Bench,
    folder: RunFolder,
    record: SweepRecord,
    points: Vec<Point>,
    /// The measured time, where it had to be made longer.
    longer: Option<Duration>,
    /// Requests of all points, and the tokens that their responses reported: one budget is for the
    /// whole sweep.
    used: (u64, Tokens),
    output: Output,
}

/// Why no further point is measured.
enum Halted {
    /// This is how the sweep ends.
    End(SweepEnd),
    /// Something failed.
    Error(Error),
}

impl From<Error> for Halted {
    fn from(error: Error) -> Self {
        Halted::Error(error)
    }
}

impl Session {
    /// Measures every point, once for each trial: all points once before any is repeated, so that
    /// what drifts in the meantime is no difference between points.
    fn all(&mut self, places: &[Vec<String>]) -> Result<(), Halted> {
        let planned = places.len() * self.record.trials as usize;
        for _ in 0..self.record.trials {
            for place in places {
                let point = self.measure(place, Stage::Listed, Some(planned))?;
                self.refuse_the_dead(&point)?;
            }
        }
        Ok(())
    }

    /// Goes where the search leads.
    fn search(&mut self) -> Result<(), Halted> {
        let Some(ladder) = capacity::ladder(&self.record) else { return Ok(()) };
        while let Next::Try(load, stage) = next(&ladder, &capacity::tried(&self.points)) {
            let place = [load.to_string()];
            let mut point = self.measure(&place, stage, None)?;
            for _ in 0..MOST_REPEATED {
                if point.judged() == Judged::Undecided && self.can_do_better(&point) {
                    point = self.measure(&place, stage, None)?;
                }
            }
            self.refuse_the_dead(&point)?;
            if !point.reasons.is_empty() && point.judged() == Judged::Undecided {
                let why = point.reasons.join("; ");
                let why = format!("the runs at load {load} cannot be trusted: {why}");
                return Err(Halted::End(SweepEnd::Failed(why)));
            }
        }
        Ok(())
    }

    /// Whether to measure a point again that could not be judged: longer, where it had too few data.
    fn can_do_better(&mut self, point: &Point) -> bool {
        if !point.reasons.is_empty() {
            return true;
        }
        let Ok(plan) = (self.sweep.plan)(&point.record.at, None) else { return false };
        let asked = plan.load.duration() - plan.load.warm_up() - plan.load.cool_down();
        if point.lengthen <= 1.0 {
            return false;
        }
        let now = self.longer.unwrap_or(asked);
        let wanted = now.as_secs_f64() * point.lengthen * MARGIN;
        if plan.load.iterations().is_some() || wanted > asked.as_secs_f64() * MOST_STRETCHED {
            return false;
        }
        self.longer = Some(Duration::from_secs(wanted.ceil() as u64));
        true
    }

    /// Ends the sweep where `point` and all before it had nothing but failures. A target that once
    /// answered is not dead: it, or something before it, may refuse a load that is too much for it.
    fn refuse_the_dead(&self, point: &Point) -> Result<(), Halted> {
        if !point.only_failures() || self.points.iter().any(Point::has_successes) {
            return Ok(());
        }
        let failed = point.figures.failed;
        let seen = format!("none of the last point's {failed} requests succeeded");
        Err(Halted::End(SweepEnd::Dead(seen)))
    }

    /// What of `budget` is left for the next point.
    fn left(&self, budget: &Budget) -> Result<Budget, Halted> {
        let (requests, tokens) = self.used;
        budget.after(requests, tokens).map_err(|why| Halted::End(SweepEnd::Budget(why)))
    }

    /// Makes one run, and writes its report and the sweep's record.
    fn measure(
        &mut self,
        at: &[String],
        stage: Stage,
        planned: Option<usize>,
    ) -> Result<Point, Halted> {
        signals::check()?;
        let mut plan = (self.sweep.plan)(at, self.longer)?;
        plan.scenario.slos = self.record.until.clone();
        plan.reports = self.folder.path().join("points");
        let budget = plan.scenario.budget;
        plan.scenario.budget = self.left(&budget)?;
        let sweeps_service =
            self.record.axes.iter().any(|axis| matches!(axis.dimension, Dimension::Service(_)));
        if sweeps_service && !self.points.is_empty() {
            self.bench.relaunch(&plan.target)?;
        }
        let number = self.points.len() + 1;
        self.announce(number, planned, at, stage);
        let name = folder_name(number, &self.record.axes, at);
        let folder = self.bench.measure_as(&name, plan, &self.output)?;
        let Saved { run, assessment, .. } = save(&folder, self.output.dialect)?;
        let trial = 1 + self.points.iter().filter(|point| point.record.at == at).count() as u32;
        let name = folder.path().file_name().map(|name| name.to_string_lossy().into_owned());
        let record = PointRecord {
            at: at.to_vec(),
            trial,
            stage,
            folder: format!("points/{}", name.unwrap_or_default()),
        };
        self.used.0 += run.ledger().sent;
        self.used.1 += run.tokens();
        self.record.points.push(record.clone());
        let point = Point::of(record, &self.record.until, &run, &assessment);
        self.points.push(point.clone());
        self.save()?;
        match point.partial {
            None => Ok(point),
            Some(Stop::Interrupted) => Err(Halted::End(SweepEnd::Interrupted)),
            Some(Stop::Terminated) => Err(Halted::End(SweepEnd::Terminated)),
            Some(Stop::Budget) => {
                self.left(&budget)?;
                let why = run.end.and_then(|end| end.reason).unwrap_or_default();
                Err(Halted::End(SweepEnd::Budget(why)))
            }
            Some(Stop::TargetEnded) => Err(Halted::End(SweepEnd::Dead(point.reasons.join("; ")))),
            Some(_) => Err(Halted::End(SweepEnd::Failed(point.reasons.join("; ")))),
        }
    }

    fn announce(&self, number: usize, planned: Option<usize>, at: &[String], stage: Stage) {
        if !self.output.shows_progress() {
            return;
        }
        let which = match (planned, stage) {
            (Some(planned), _) => format!("point {number} of {planned}"),
            (None, Stage::Bisect) => format!("point {number}, between the last two"),
            (None, Stage::Confirm) => format!("point {number}, to confirm"),
            (None, Stage::Climb | Stage::Listed) => format!("point {number}"),
        };
        let axes = self.record.axes.iter().zip(at);
        let place: Vec<String> = axes.map(|(axis, value)| axis.dimension.in_words(value)).collect();
        // Standard error that is closed must not end the sweep.
        let _ = writeln!(stderr(), "{which}: {}", place.join(", "));
    }

    fn save(&self) -> Result<(), Error> {
        let capacity = capacity::assess(&self.record, self.points.clone());
        let summary = report::sweep::json::summary(&self.record, &capacity);
        stored::write(&self.folder, &self.record, summary)
    }

    /// Writes how it ended, and shows the report of what there is.
    fn finish(mut self, ended: Result<(), Halted>) -> Result<Exit, Error> {
        self.bench.take_down();
        let (end, error) = match ended {
            Ok(()) => (SweepEnd::Done, None),
            Err(Halted::End(end)) => (end, None),
            Err(Halted::Error(Error::Interrupted(Exit::Terminated))) => {
                (SweepEnd::Terminated, None)
            }
            Err(Halted::Error(Error::Interrupted(_))) => (SweepEnd::Interrupted, None),
            Err(Halted::Error(error @ Error::CannotRun(_))) => {
                (SweepEnd::Dead(error.to_string()), Some(error))
            }
            Err(Halted::Error(error)) => (SweepEnd::Failed(error.to_string()), Some(error)),
        };
        self.record.end = Some(end);
        let capacity = capacity::assess(&self.record, std::mem::take(&mut self.points));
        let summary = report::sweep::json::summary(&self.record, &capacity);
        stored::write(&self.folder, &self.record, summary)?;
        match error {
            // There is nothing to report on, but the error.
            Some(error) if self.record.points.is_empty() => Err(error),
            Some(error) => finish(&self.folder, &self.output).and(Err(error)),
            None => finish(&self.folder, &self.output),
        }
    }
}

/// `03-users-10`, `03-users-10-pool_size-4`: what is no letter, digit, dot or `_` becomes `-`.
fn folder_name(number: usize, axes: &[Axis], at: &[String]) -> String {
    let parts =
        axes.iter().zip(at).map(|(axis, value)| format!("-{}-{value}", axis.dimension.name()));
    let plain = |c: char| if c.is_alphanumeric() || "._".contains(c) { c } else { '-' };
    let name: String = parts.collect::<String>().chars().map(plain).take(80).collect();
    format!("{number:02}{name}")
}

/// Makes the report of a sweep from its folder, shows it, and says how it went.
pub fn finish(folder: &RunFolder, output: &Output) -> Result<Exit, Error> {
    let record = stored::read(folder.path())?;
    let points = record.points.iter().map(|of| {
        let (run, assessment) = read(&RunFolder::open(folder.path().join(&of.folder)))?;
        Ok(Point::of(of.clone(), &record.until, &run, &assessment))
    });
    let points: Vec<Point> = points.collect::<Result<_, Error>>()?;
    let capacity = capacity::assess(&record, points);
    let diagnosis = Diagnosis::of_sweep(&record, &capacity);
    let mut summary = report::sweep::json::summary(&record, &capacity);
    summary["diagnosis"] = report::diagnosis::json(&diagnosis);
    stored::write(folder, &record, summary.clone())?;
    let mut report = report::sweep::build(&record, &capacity);
    report::diagnosis::add_to(&mut report, &diagnosis);
    let report = pages::save(folder, "report", report)?;
    output.show(&report, summary, folder)?;
    Ok(exit(&record, &capacity))
}

fn exit(record: &SweepRecord, capacity: &Capacity) -> Exit {
    match &record.end {
        Some(SweepEnd::Interrupted) => Exit::Interrupted,
        Some(SweepEnd::Terminated) => Exit::Terminated,
        Some(SweepEnd::Dead(_)) => Exit::CannotRun,
        Some(SweepEnd::Budget(_) | SweepEnd::Failed(_)) | None => Exit::Invalid,
        Some(SweepEnd::Done) => match &capacity.answer {
            Some(Outcome::Limit { .. } | Outcome::NoLimit { .. }) => Exit::Passed,
            Some(Outcome::NoneSafe { .. }) => Exit::Failed,
            Some(Outcome::Unclear { .. }) => Exit::Invalid,
            None if capacity.points.iter().all(Point::is_valid) => Exit::Passed,
            None => Exit::Invalid,
        },
    }
}
