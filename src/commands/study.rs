//! `gander study`: the runs of a study take turns, slice by slice, each against a target that is
//! started anew; then comes one report.

use std::collections::BTreeMap;
use std::io::{Write, stderr};
use std::path::PathBuf;

use jiff::Zoned;
use rand::seq::SliceRandom;
use serde_json::{Value, json};

use crate::analysis::Ruling;
use crate::analysis::diagnose::Diagnosis;
use crate::analysis::group::Group;
use crate::analysis::profile::ProfileFindings;
use crate::error::{Error, Exit};
use crate::measure::validity::Validity;
use crate::observe::environment::environment;
use crate::plan::{Plan, Stop, Target};
use crate::schedule::show_duration;
use crate::stats::bootstrap::generator;
use crate::store::folder::RunFolder;
use crate::store::profiles;
use crate::store::study::{self as stored, SCHEMA_VERSION, SliceRecord, StudyEnd, StudyRecord};
use crate::study::figures::Measured;
use crate::study::report::{Findings, build};
use crate::study::{Study, StudyRun};
use crate::target::control::Control;

use super::bench::{Bench, dated};
use super::output::Output;
use super::report::{damaged, read, save};
use super::{pages, signals};

/// How often a slice is made again that is no valid run.
const MOST_REPEATED: u32 = 2;

/// A study that is to be carried out.
pub struct Carried {
    /// What.
    pub study: Study,
    /// Whether the short form.
    pub is_quick: bool,
    /// Source of the order of slices.
    pub seed: u64,
    /// Where its folder goes.
    pub reports: PathBuf,
    /// The command line as given.
    pub command_line: Vec<String>,
    /// What each run's command means.
    pub plan: PlanOf,
}

/// Makes the plan of a run.
pub type PlanOf = Box<dyn Fn(&StudyRun) -> Result<Plan, Error>>;

impl Carried {
    /// The slices in the order in which they are made: the first of each run, then the second of
    /// each, so that what changes on the machine meanwhile hits all runs alike; within each turn in an
    /// order that is drawn.
    fn order(&self) -> Vec<(&StudyRun, u32)> {
        let length = self.study.length(self.is_quick);
        let slices = |run: &StudyRun| match self.is_quick {
            true => length.slices,
            false => run.slices.unwrap_or(length.slices),
        };
        let runs: Vec<&StudyRun> = self.study.runs(self.is_quick).collect();
        let turns = runs.iter().map(|run| slices(run)).max().unwrap_or(0);
        let mut draws = generator(self.seed);
        let mut order = Vec::new();
        for turn in 1..=turns {
            let mut of_turn: Vec<_> = runs.iter().filter(|run| turn <= slices(run)).collect();
            of_turn.shuffle(&mut draws);
            order.extend(of_turn.into_iter().map(|run| (*run, turn)));
        }
        order
    }
}

/// Says what would be run.
pub fn describe(carried: &Carried, output: &Output) -> Result<Exit, Error> {
    let (study, order) = (&carried.study, carried.order());
    let mut text = format!("{}\n{} slices, in this order:\n", study.title, order.len());
    for (run, slice) in order {
        text += &format!("  {} ({slice}): gander {}\n", run.name, run.written);
    }
    output.print(&text)?;
    Ok(Exit::Passed)
}

/// Carries a study out, and shows its report.
pub fn study(carried: Carried, output: Output) -> Result<Exit, Error> {
    let order = carried.order();
    let Some((first, _)) = order.first() else {
        return Err(Error::BadInput("nothing of this study is run with --quick".to_owned()));
    };
    let bench = Bench::set_up(&(carried.plan)(first)?.target)?;
    let folder =
        RunFolder::create(&carried.reports, &dated(&format!("study-{}", carried.study.name)))?;
    let record = StudyRecord {
        schema_version: SCHEMA_VERSION,
        study: carried.study.name.clone(),
        source: carried.study.source.clone(),
        is_quick: carried.is_quick,
        started_at: Zoned::now().strftime("%Y-%m-%dT%H:%M:%S%:z").to_string(),
        command_line: carried.command_line.clone(),
        environment: environment(),
        seed: carried.seed,
        slice: carried.study.length(carried.is_quick).duration,
        planned: order.len(),
        slices: Vec::new(),
        set_aside: Vec::new(),
        end: None,
    };
    announce(&carried, &record, &output);
    let mut session =
        Session { carried: &carried, bench, folder: &folder, record, output: &output };
    session.save()?;
    let ended = session.all(&order);
    let (end, error) = match ended {
        Ok(end) => (end, None),
        Err(Error::Interrupted(Exit::Terminated)) => (StudyEnd::Terminated, None),
        Err(Error::Interrupted(_)) => (StudyEnd::Interrupted, None),
        Err(error) => (StudyEnd::Failed(error.to_string()), Some(error)),
    };
    session.record.end = Some(end);
    session.save()?;
    let Session { bench, record, .. } = session;
    bench.take_down();
    match error {
        Some(error) if record.slices.is_empty() => Err(error),
        Some(error) => finish(&folder, &output).and(Err(error)),
        None => finish(&folder, &output),
    }
}

/// A study under way.
struct Session<'a> {
    carried: &'a Carried,
    bench: Bench,
    folder: &'a RunFolder,
    record: StudyRecord,
    output: &'a Output,
}

impl Session<'_> {
    /// Makes all slices; says how that ended. A slice that is no valid run is made again: one that was
    /// disturbed would put all of a long study in doubt.
    fn all(&mut self, order: &[(&StudyRun, u32)]) -> Result<StudyEnd, Error> {
        for (number, (run, slice)) in (1..).zip(order) {
            let which = format!("slice {number} of {}: {} ({})", order.len(), run.about, run.name);
            say(self.output, &which);
            for again in 0..=MOST_REPEATED {
                let name = match again {
                    0 => format!("{number:02}-{}-{slice}", run.name),
                    _ => format!("{number:02}-{}-{slice}-again-{again}", run.name),
                };
                let made = match self.slice(run, *slice, &name)? {
                    Ok(made) => made,
                    Err(end) => return Ok(end),
                };
                let Made { record, reasons } = made;
                if reasons.is_empty() || again == MOST_REPEATED {
                    self.record.slices.push(record);
                    self.save()?;
                    break;
                }
                say(
                    self.output,
                    &format!("  made again, for it is not valid: {}", reasons.join("; ")),
                );
                self.record.set_aside.push(record);
                self.save()?;
            }
        }
        Ok(StudyEnd::Done)
    }

    /// Makes a slice; says how the study ends where it was cut short.
    fn slice(
        &mut self,
        run: &StudyRun,
        slice: u32,
        name: &str,
    ) -> Result<Result<Made, StudyEnd>, Error> {
        signals::check()?;
        let reports = self.folder.path().join("slices");
        let plan = Plan { reports, ..(self.carried.plan)(run)? };
        if !(self.record.slices.is_empty() && self.record.set_aside.is_empty()) {
            self.bench.relaunch(&plan.target)?;
        }
        let is_reference = matches!(plan.target, Target::Reference(_));
        // What a slice shows while it runs would drown the study.
        let made = self.bench.measure_as(name, plan, &Output { quiet: true, ..*self.output })?;
        let Answers { asked, ledger, behind } = ask(run, is_reference, &self.bench)?;
        let saved = save(&made, self.output.dialect)?;
        match saved.run.end.as_ref().map(|end| end.stop) {
            Some(Stop::Interrupted) => return Ok(Err(StudyEnd::Interrupted)),
            Some(Stop::Terminated) => return Ok(Err(StudyEnd::Terminated)),
            _ => {}
        }
        let folder = format!("slices/{name}");
        let record = SliceRecord { run: run.name.clone(), slice, folder, asked, ledger, behind };
        Ok(Ok(Made { record, reasons: saved.assessment.validity.reasons }))
    }

    fn save(&self) -> Result<(), Error> {
        stored::write(self.folder, &self.record, Value::Null)
    }
}

/// A slice, and what speaks against it.
struct Made {
    record: SliceRecord,
    reasons: Vec<String>,
}

/// What the target says of itself after a slice.
struct Answers {
    /// By name.
    asked: BTreeMap<String, Value>,
    /// The ledger of a reference service.
    ledger: Option<Value>,
    /// That of the service behind it.
    behind: Option<Value>,
}

/// Asks the target. Where it does not answer, that figure is not measured.
fn ask(run: &StudyRun, is_reference: bool, bench: &Bench) -> Result<Answers, Error> {
    let control = Control::of(bench.url())?;
    let asked = run.ask.iter().filter_map(|(name, path)| {
        Some((name.clone(), control.json(path.trim_start_matches('/')).ok()?))
    });
    let ledger = is_reference.then(|| control.ledger().ok()).flatten();
    let behind = bench.behind().map(Control::of).transpose()?;
    let behind = behind.and_then(|control| control.ledger().ok());
    let [ledger, behind] = [ledger, behind].map(|ledger| ledger.map(|ledger| json!(ledger)));
    Ok(Answers { asked: asked.collect(), ledger, behind })
}

fn announce(carried: &Carried, record: &StudyRecord, output: &Output) {
    let what = format!(
        "{}: {} slices, most of {}, recording below {}",
        carried.study.title,
        record.planned,
        show_duration(record.slice),
        carried.reports.display()
    );
    say(output, &what);
}

fn say(output: &Output, line: &str) {
    if output.shows_progress() {
        // Standard error that is closed must not end the study.
        let _ = writeln!(stderr(), "{line}");
    }
}

/// Makes the report of a study from its folder, shows it, and says how it went.
pub fn finish(folder: &RunFolder, output: &Output) -> Result<Exit, Error> {
    let record = stored::read(folder.path())?;
    let source = crate::scenario::errors::Source {
        name: format!("{} of {}", record.study, folder.path().display()),
        text: record.source.clone(),
    };
    let study = Study::read(&record.study, &std::sync::Arc::new(source))?;
    let mut measured = BTreeMap::new();
    for run in study.runs(record.is_quick) {
        if let Some(found) = read_slices(folder, &record, &run.name)? {
            measured.insert(run.name.clone(), found);
        }
    }
    let findings = Findings::of(study, record, measured);
    let summary = findings.summary();
    stored::write(folder, &findings.record, summary.clone())?;
    let report = pages::save(folder, "report", build(&findings))?;
    output.show(&report, summary, folder)?;
    Ok(exit(&findings))
}

/// The slices of one run as one measurement; nothing where none was made.
fn read_slices(
    folder: &RunFolder,
    record: &StudyRecord,
    run: &str,
) -> Result<Option<Measured>, Error> {
    let slices: Vec<&SliceRecord> = record.slices.iter().filter(|slice| slice.run == run).collect();
    let Some(last) = slices.last() else { return Ok(None) };
    let mut runs = Vec::new();
    let mut profile: Option<ProfileFindings> = None;
    let mut validity = Validity::default();
    let mut judged = None;
    for (number, slice) in (1..).zip(&slices) {
        let place = RunFolder::open(folder.path().join(&slice.folder));
        let (run, assessment) = read(&place)?;
        let found = ProfileFindings::of(&profiles::read(place.path())?, &run);
        for reason in &assessment.validity.reasons {
            if !validity.reasons.contains(reason) {
                validity.reasons.push(reason.clone());
            }
        }
        // The last slice speaks for the run.
        if number == slices.len() {
            let suffers = Diagnosis::of(&run, &assessment, found.if_taken());
            judged = Some((assessment, suffers.map_err(damaged(&place))?));
        }
        let samples = |of: &ProfileFindings| of.target_cpu().map_or(0, |it| it.record.samples);
        if profile.as_ref().is_none_or(|best| samples(&found) > samples(best)) {
            profile = Some(found);
        }
        runs.push(run);
    }
    let Some((profile, (judged, diagnosis))) = profile.zip(judged) else { return Ok(None) };
    let group = Group::of(runs).map_err(damaged(folder))?;
    Ok(Some(Measured {
        group,
        validity,
        last: judged,
        diagnosis,
        asked: last.asked.clone(),
        ledger: last.ledger.clone(),
        behind: last.behind.clone(),
        profile,
    }))
}

/// An expectation that failed outweighs what could not be judged.
fn exit(findings: &Findings) -> Exit {
    match findings.record.end {
        Some(StudyEnd::Interrupted) => return Exit::Interrupted,
        Some(StudyEnd::Terminated) => return Exit::Terminated,
        Some(StudyEnd::Failed(_)) | None => return Exit::Invalid,
        Some(StudyEnd::Done) => {}
    }
    let rulings: Vec<Ruling> = findings.judged().map(|judged| judged.ruling).collect();
    match () {
        () if rulings.contains(&Ruling::Failed) => Exit::Failed,
        () if rulings.contains(&Ruling::Unknown) || !findings.is_valid() => Exit::Invalid,
        () => Exit::Passed,
    }
}
