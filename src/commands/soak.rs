//! `gander soak`: a long run, and one that goes on where it was killed.

use std::path::Path;

use crate::error::{Error, Exit};
use crate::plan::{Plan, PlanRecord, Purpose};
use crate::schedule::show_duration;
use crate::store::folder::RunFolder;
use crate::store::journal;

use super::bench::Bench;
use super::output::Output;
use super::report;

/// Carries out `plan`, writes its run folder, and shows the report.
pub fn soak(plan: Plan, output: Output) -> Result<Exit, Error> {
    let mut bench = Bench::set_up(&plan.target)?;
    let folder = bench.measure(plan, &output)?;
    bench.take_down();
    report::finish(&folder, &output)
}

/// How a run was begun.
pub struct Begun {
    /// By which command line.
    pub command_line: Vec<String>,
    /// In which folder; `None` where the record does not say it.
    pub working_directory: Option<String>,
}

/// How the run in `folder` was begun, where that can go on.
///
/// # Errors
///
/// Why it cannot: it ended whole, was no soak, or its record does not hold what is needed.
pub fn begun(folder: &Path) -> Result<Begun, Error> {
    let run = journal::read(folder)?;
    let plan = &run.start.plan;
    if plan.purpose != Purpose::Soak {
        return Err(cannot(folder, "it was not made by `gander soak`"));
    }
    if run.end.as_ref().is_some_and(|end| end.stop.is_planned()) {
        let done = run.ledger().iterations_ended();
        return Err(cannot(
            folder,
            &format!(
                "it ended as planned, with {done} iterations done: nothing is left to do; see \
                 `gander report {}`",
                folder.display()
            ),
        ));
    }
    if plan.command_line.iter().any(|word| word.contains("***")) {
        let why = "its command line holds a password or a key, which is not kept: give such values \
                   by environment variables, and begin anew";
        return Err(cannot(folder, why));
    }
    if !run.knows_what_is_done() {
        let why = "an earlier gander made it, which did not record what is done: begin anew";
        return Err(cannot(folder, why));
    }
    let working_directory = run.start.working_directory.clone();
    Ok(Begun { command_line: plan.command_line.clone(), working_directory })
}

fn cannot(folder: &Path, why: &str) -> Error {
    Error::BadInput(format!("{} cannot go on: {why}", folder.display()))
}

/// Goes on with the run in `folder`, whose command line means `plan` today.
///
/// # Errors
///
/// That today's scenario is another one, besides what keeps any run from being made.
pub fn resume(plan: Plan, folder: RunFolder, output: Output) -> Result<Exit, Error> {
    let run = journal::read(folder.path())?;
    let today = as_saved(&plan.record(run.start.plan.target.clone()))?;
    if let Some(difference) = difference(&run.start.plan, &today) {
        return Err(cannot(
            folder.path(),
            &format!(
                "{difference}; rows done under one and under the other are not rows of one run: \
                 restore it, or begin anew"
            ),
        ));
    }
    drop(run);
    let mut bench = Bench::set_up(&plan.target)?;
    bench.go_on(plan, &folder, &output)?;
    bench.take_down();
    report::finish(&folder, &output)
}

/// A plan as a journal holds it: of recorded arrivals it knows only how many each second has, and
/// numbers with a fraction have been through their text.
fn as_saved(plan: &PlanRecord) -> Result<PlanRecord, Error> {
    let read_back = serde_json::to_string(plan).and_then(|text| serde_json::from_str(&text));
    read_back.map_err(|error| Error::storage("cannot compare the plans")(error.into()))
}

/// What of the work differs between the record of a run and what its command line means today.
fn difference(then: &PlanRecord, now: &PlanRecord) -> Option<String> {
    let steps = |plan: &PlanRecord| {
        plan.steps.iter().map(|step| step.name.as_str()).collect::<Vec<_>>().join(", ")
    };
    if then.scenario != now.scenario {
        return Some(format!("its scenario was {}, and is {} now", then.scenario, now.scenario));
    }
    if steps(then) != steps(now) {
        return Some(format!("its steps were {}, and are {} now", steps(then), steps(now)));
    }
    if then.digest != now.digest {
        return Some(format!(
            "scenario {} has changed since: its workload (users, steps, expectations or data rows) had \
             the digest {}…, and has {}… now",
            then.scenario,
            start(&then.digest),
            start(&now.digest)
        ));
    }
    let load = |plan: &PlanRecord| {
        let length = show_duration(plan.load.duration());
        match plan.load.iterations() {
            Some(iterations) => format!("{iterations} iterations within {length}"),
            None => length,
        }
    };
    if then.load != now.load {
        let (was, is) = (load(then), load(now));
        return Some(match was == is {
            true => "its rates, stages or recorded arrivals have changed since".to_owned(),
            false => format!("its load was {was}, and is {is} now"),
        });
    }
    if then.budget != now.budget {
        return Some("its budget has changed since".to_owned());
    }
    (then.seed != now.seed).then(|| format!("its seed was {}, and is {} now", then.seed, now.seed))
}

/// The beginning of a digest, enough to tell two apart.
fn start(digest: &str) -> &str {
    digest.get(..12).unwrap_or(digest)
}
