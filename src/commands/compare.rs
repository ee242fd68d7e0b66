//! `gander compare BEFORE AFTER`: both are read back from their folders.

use std::path::{Path, PathBuf};

use crate::analysis::profile::{ProfileFindings, Profiled};
use crate::error::{Error, Exit};
use crate::profile::{Folded, Profiles};
use crate::report::profile::diff::{Half, build};
use crate::report::terminal;
use crate::store::folder::RunFolder;
use crate::store::run::Run;
use crate::store::{journal, profiles};

use super::bench::dated;
use super::output::Output;
use super::pages;

/// What is compared, and how.
#[derive(Debug, Clone)]
pub struct Compare {
    /// Folder of the run before.
    pub before: PathBuf,
    /// Folder of the run after.
    pub after: PathBuf,
    /// Whether the workloads may differ.
    pub allow_different: bool,
    /// Frames that had another name before: old and new.
    pub renames: Vec<(String, String)>,
    /// Where the comparison goes; a new folder below `reports` where it is not said.
    pub out: Option<PathBuf>,
}

/// Compares the profiles of two runs' targets.
pub fn compare(request: &Compare, output: Output) -> Result<Exit, Error> {
    let before = Side::read(&request.before, &request.renames)?;
    let after = Side::read(&request.after, &[])?;
    let remarks = remarks(&before.run, &after.run, request.allow_different)?;
    let (was, is) = (before.half()?, after.half()?);
    let report = build(was, is, &remarks);
    let folder = match &request.out {
        Some(path) => RunFolder::open(path),
        None => RunFolder::create(Path::new("reports"), &dated("compare"))?,
    };
    let report = pages::save(&folder, "compare", report)?;
    output.print(&terminal::render(&report, output.width(), output.colour()))?;
    let are_sound = was.profiled.is_sound() && is.profiled.is_sound();
    Ok(if are_sound { Exit::Passed } else { Exit::Invalid })
}

/// What speaks against comparing; an error where it forbids it.
fn remarks(before: &Run, after: &Run, allow_different: bool) -> Result<Vec<String>, Error> {
    let (was, is) = (&before.start.plan, &after.start.plan);
    if was.digest == is.digest {
        return Ok(Vec::new());
    }
    let differ = format!(
        "the runs did different work: {} with workload {} before, {} with {} after",
        was.scenario, was.digest, is.scenario, is.digest
    );
    match allow_different {
        true => Ok(vec![differ]),
        false => Err(Error::BadInput(format!(
            "{differ}. Make both runs with the same scenario, or compare them all the same with --allow-different"
        ))),
    }
}

/// One of the two runs.
struct Side {
    path: String,
    run: Run,
    findings: ProfileFindings,
}

impl Side {
    fn read(path: &Path, renames: &[(String, String)]) -> Result<Side, Error> {
        let run = journal::read(path)?;
        let read = profiles::read(path)?;
        let taken = read.taken.into_iter();
        let taken = taken.map(|(record, folded)| (record, renamed(folded, renames))).collect();
        let findings = ProfileFindings::of(&Profiles { taken, missing: read.missing }, &run);
        Ok(Side { path: path.display().to_string(), run, findings })
    }

    fn half(&self) -> Result<Half<'_>, Error> {
        let profiled: &Profiled = self.findings.target_cpu().ok_or_else(|| {
            let missing = self.findings.missing.first();
            let why = missing.map_or(String::new(), |missing| format!(" ({})", missing.why));
            Error::BadInput(format!(
                "{} has no profile of the target's CPU time{why}: make the run with --profile",
                self.path
            ))
        })?;
        let ms_per_request = profiled.ms_per_request(profiled.total()).ok_or_else(|| {
            Error::BadInput(format!(
                "the CPU time of the target a request was not measured in {}: name its process with --pid, or let gander start it with --spawn",
                self.path
            ))
        })?;
        Ok(Half { run: &self.path, profiled, ms_per_request })
    }
}

/// The stacks with other names for some functions.
fn renamed(folded: Folded, renames: &[(String, String)]) -> Folded {
    let mut all = Folded::default();
    for (stack, times) in folded.stacks() {
        let stack = stack.iter().map(|frame| {
            let name = crate::profile::frame::name(frame);
            renames.iter().find(|(old, _)| *old == name).map_or(name, |(_, new)| new.clone())
        });
        all.add(stack.collect(), times);
    }
    all
}
