//! What a gate says while it runs, and its report.

use std::io::{Write, stderr};

use serde_json::Value;

use crate::analysis::gate::power::reach;
use crate::analysis::gate::{Decision, Judge, Looks, Round, Subject};
use crate::analysis::group::Group;
use crate::analysis::{Evidence, Verdict, hold};
use crate::error::{Error, Exit};
use crate::report::gate::{Told, build, comment, github, json, junit, words};
use crate::report::model::Report;
use crate::schedule::show_duration;
use crate::store::folder::RunFolder;
use crate::store::gate::{self as stored, GateEnd, GateRecord};

use super::super::output::Output;
use super::super::pages;
use super::super::report::{damaged, read};
use super::rules;

/// Shows a line while the gate runs.
pub fn say(output: &Output, line: &str) {
    if output.shows_progress() {
        // Standard error that is closed must not end the gate.
        let _ = writeln!(stderr(), "{line}");
    }
}

/// Says what begins.
pub fn announce(record: &GateRecord, folder: &RunFolder, output: &Output) {
    let [base, head] = &record.sides;
    let text = format!(
        "gate {}: {base} (base) beside {head} (head), {}, for {} at most; recording to {}",
        record.scenario,
        words::rate(record),
        show_duration(record.most_time),
        folder.path().display()
    );
    say(output, &text);
}

/// Makes the report of a gate from its folder, shows it, and says how it went.
pub fn finish(folder: &RunFolder, output: &Output) -> Result<Exit, Error> {
    save(folder)?.show(folder, output)
}

/// A gate whose files are written.
pub struct Saved {
    report: Report,
    summary: Value,
    exit: Exit,
    /// Of a gate that was to decide.
    pub for_ci: Option<ForCi>,
}

/// What a CI system is told besides.
pub struct ForCi {
    /// How the gate ended.
    pub decision: Decision,
    /// The comment on a pull request.
    pub comment: String,
    /// Workflow commands, a line each.
    pub annotations: Vec<String>,
}

impl Saved {
    /// Shows the report, and says how the gate went.
    pub fn show(self, folder: &RunFolder, output: &Output) -> Result<Exit, Error> {
        output.show(&self.report, self.summary, folder)?;
        Ok(self.exit)
    }
}

/// Writes all files of a gate from its record.
pub fn save(folder: &RunFolder) -> Result<Saved, Error> {
    let record = stored::read(folder.path())?;
    let told = tell(folder, &record)?;
    let summary = json::summary(&told);
    let report = pages::save(folder, "report", build(&told))?;
    stored::write(folder, &record, summary.clone())?;
    let for_ci = if told.is_plan() { None } else { Some(save_for_ci(folder, &told)?) };
    Ok(Saved { report, summary, exit: exit(&record, told.decision), for_ci })
}

fn save_for_ci(folder: &RunFolder, told: &Told<'_>) -> Result<ForCi, Error> {
    let comment = comment::render(told);
    folder.write(comment::FILE_NAME, comment.as_bytes())?;
    let cases = junit::render(told).map_err(std::io::Error::other);
    let cases = cases.map_err(Error::storage(format!("cannot make {}", junit::FILE_NAME)))?;
    folder.write(junit::FILE_NAME, cases.as_bytes())?;
    Ok(ForCi { decision: told.decision, comment, annotations: github::annotations(told) })
}

/// What the rounds of a gate say.
fn tell<'a>(folder: &RunFolder, record: &'a GateRecord) -> Result<Told<'a>, Error> {
    let bad = |error: serde_json::Error| {
        let path = folder.path().join(stored::FILE_NAME);
        Error::BadInput(format!("{} is damaged: {error}", path.display()))
    };
    let subjects: Vec<Subject> = serde_json::from_value(record.subjects.clone()).map_err(bad)?;
    let mut rounds = Vec::new();
    for round in &record.rounds {
        let values = serde_json::from_value(round.values.clone()).map_err(bad)?;
        rounds.push(Round { number: round.number, values });
    }
    let how = rules(&record.margins, record.alpha, record.beta)?;
    let count = rounds.len() as u32;
    let looks = Looks::up_to(record.most_rounds.unwrap_or(count).max(count));
    let mut told = Told {
        record,
        rounds,
        judged: Vec::new(),
        rules: Vec::new(),
        decision: Decision::Inconclusive,
        reach: Vec::new(),
    };
    if told.is_plan() {
        told.reach = reach(&told.rounds, &subjects, &how, &record.effects);
        return Ok(told);
    }
    told.judged = Judge::new(how, subjects, looks).judge(&told.rounds);
    told.rules = kept(folder, record)?;
    told.decision = match &record.end {
        Some(GateEnd::Gone { is_head: true, .. }) => Decision::Failed,
        Some(GateEnd::Decided | GateEnd::AllRounds | GateEnd::TimeOver) => {
            Decision::of(&told.judged, &told.rules)
        }
        // What was cut short may have found something; it lets nothing through.
        _ => match Decision::of(&told.judged, &told.rules) {
            Decision::Passed => Decision::Inconclusive,
            other => other,
        },
    };
    Ok(told)
}

/// The rules that the head must keep, held against all its rounds together.
fn kept(folder: &RunFolder, record: &GateRecord) -> Result<Vec<Verdict>, Error> {
    if record.slos.is_empty() {
        return Ok(Vec::new());
    }
    let mut runs = Vec::new();
    for round in &record.rounds {
        let path = folder.path().join(&round.folders[1]);
        runs.push(read(&RunFolder::open(path))?.0);
    }
    let group = Group::of(runs).map_err(damaged(folder))?;
    let evidence = Evidence { merged: &group.merged, summary: &group.summary, run: None };
    Ok(hold(&record.slos, &evidence))
}

fn exit(record: &GateRecord, decision: Decision) -> Exit {
    match (&record.end, decision) {
        (Some(GateEnd::Interrupted), _) => Exit::Interrupted,
        (Some(GateEnd::Terminated), _) => Exit::Terminated,
        _ if !record.effects.is_empty() => Exit::Passed,
        (_, Decision::Failed) => Exit::Failed,
        (_, Decision::Passed) => Exit::Passed,
        (_, Decision::Inconclusive) => Exit::Invalid,
    }
}
