//! `gander compare BEFORE AFTER`: runs are read back from their folders, and held against each other.

mod profiles;

use std::path::{Path, PathBuf};

use jiff::Zoned;

use crate::analysis::compare::workload::{Difference, Weight, differences};
use crate::analysis::compare::{Comparison, Margins, Rules, compare as compare_groups};
use crate::analysis::group::Group;
use crate::error::{Error, Exit};
use crate::measure::validity::Validity;
use crate::report;
use crate::report::compare::{Compares, Side};
use crate::report::model::Report;
use crate::report::profile::diff;
use crate::store::compare::{self as stored, CompareRecord, SCHEMA_VERSION};
use crate::store::folder::RunFolder;
use crate::store::sweep;

use super::bench::dated;
use super::output::Output;
use super::pages;
use super::report::read;
use profiles::Profile;

/// Seed of the resampling: the same runs give the same intervals.
const SEED: u64 = 42;

/// What is compared, and how.
#[derive(Debug, Clone)]
pub struct Compare {
    /// Folders of the runs before, or of a sweep of one load.
    pub before: Vec<PathBuf>,
    /// Folders of the runs after.
    pub after: Vec<PathBuf>,
    /// Whether the n-th runs of both sides were made together.
    pub paired: bool,
    /// Margins in place of the usual ones, as written.
    pub margins: Vec<String>,
    /// Whether the workloads may differ.
    pub allow_different: bool,
    /// Whether profiles are compared too.
    pub profile: bool,
    /// Frames that had another name before: old and new.
    pub renames: Vec<(String, String)>,
    /// Where the comparison goes; a new folder below `reports` where it is not said.
    pub out: Option<PathBuf>,
    /// The command line as given.
    pub command_line: Vec<String>,
}

/// Compares the runs, and shows the report.
pub fn compare(request: &Compare, output: &Output) -> Result<Exit, Error> {
    let [before, after] = [runs_of(&request.before)?, runs_of(&request.after)?];
    // Whatever cannot be compared is found before a folder is made.
    let told = Told::of(&before, &after, request)?;
    let folder = match &request.out {
        Some(path) => RunFolder::open(path),
        None => RunFolder::create(Path::new("reports"), &dated("compare"))?,
    };
    let made = told.save(&folder, &request.command_line)?;
    // The folder is there by now, so that others can be told as seen from it.
    let seen = |paths: &[PathBuf]| -> Vec<PathBuf> {
        paths.iter().map(|path| stored::seen_from(folder.path(), path)).collect()
    };
    let record = CompareRecord {
        schema_version: SCHEMA_VERSION,
        compared_at: Zoned::now().strftime("%Y-%m-%dT%H:%M:%S%:z").to_string(),
        command_line: request.command_line.clone(),
        before: seen(&before),
        after: seen(&after),
        margins: request.margins.clone(),
        paired: request.paired,
        allow_different: request.allow_different,
        profile: request.profile,
        renames: request.renames.clone(),
    };
    made.show(&folder, &record, output)
}

/// Makes the report of a comparison again, from its folder and those of its runs.
pub fn finish(folder: &RunFolder, output: &Output) -> Result<Exit, Error> {
    let record = stored::read(folder.path())?;
    let found = |paths: &[PathBuf]| -> Vec<PathBuf> {
        paths.iter().map(|path| folder.path().join(path)).collect()
    };
    let request = Compare {
        before: found(&record.before),
        after: found(&record.after),
        paired: record.paired,
        margins: record.margins.clone(),
        allow_different: record.allow_different,
        profile: record.profile,
        renames: record.renames.clone(),
        out: Some(folder.path().to_owned()),
        command_line: record.command_line.clone(),
    };
    let told = Told::of(&request.before, &request.after, &request)?;
    told.save(folder, &record.command_line)?.show(folder, &record, output)
}

/// The folders of runs that `paths` name: themselves, or the runs of a sweep that had one load.
fn runs_of(paths: &[PathBuf]) -> Result<Vec<PathBuf>, Error> {
    let mut all = Vec::new();
    for path in paths {
        if !sweep::is_sweep(path) {
            all.push(path.clone());
            continue;
        }
        let points = sweep::read(path)?.points;
        let folders: Vec<PathBuf> = points.iter().map(|point| path.join(&point.folder)).collect();
        if points.iter().any(|point| point.at != points[0].at) {
            let named: Vec<String> =
                folders.iter().map(|folder| folder.display().to_string()).collect();
            return Err(Error::BadInput(format!(
                "{} is a sweep over several loads: name the runs of one of them, of {}",
                path.display(),
                named.join(", ")
            )));
        }
        all.extend(folders);
    }
    match all.is_empty() {
        true => Err(Error::BadInput("there is no run to compare on one side".to_owned())),
        false => Ok(all),
    }
}

/// Two sides that were compared.
struct Told {
    before: Side,
    after: Side,
    comparison: Comparison,
    differences: Vec<Difference>,
    profiles: Option<[Profile; 2]>,
}

impl Told {
    fn of(before: &[PathBuf], after: &[PathBuf], request: &Compare) -> Result<Told, Error> {
        let mut margins = Margins::default();
        for margin in &request.margins {
            margins.set(margin).map_err(|why| Error::BadInput(format!("--margin {why}")))?;
        }
        if request.paired && (before.len() != after.len() || before.len() < 3) {
            return Err(Error::BadInput(format!(
                "--paired takes as many runs before as after, and at least 3: there are {} and {}",
                before.len(),
                after.len()
            )));
        }
        let [was, is] = [side(before)?, side(after)?];
        let differences = differences(&was.group.runs, &is.group.runs);
        refuse(&differences, request.allow_different)?;
        let profiles = match (request.profile, before, after) {
            (false, ..) => None,
            (true, [old], [new]) => Some([
                Profile::read(old, &was.group.runs[0], &request.renames)?,
                Profile::read(new, &is.group.runs[0], &[])?,
            ]),
            _ => {
                let what = "--profile compares the profiles of one run with those of one other";
                return Err(Error::BadInput(format!("{what}: name one run on each side")));
            }
        };
        for profile in profiles.iter().flatten() {
            profile.half()?;
        }
        let rules = Rules { margins, paired: request.paired, seed: SEED };
        let comparison = compare_groups(&was.group, &is.group, &rules)
            .map_err(|damaged| Error::BadInput(format!("the runs cannot be read: {damaged}")))?;
        Ok(Told { before: was, after: is, comparison, differences, profiles })
    }

    /// Writes the report into `folder`.
    fn save(&self, folder: &RunFolder, command_line: &[String]) -> Result<Made, Error> {
        let compares = Compares {
            before: &self.before,
            after: &self.after,
            comparison: &self.comparison,
            differences: &self.differences,
            command_line,
        };
        let (report, is_sound) = self.with_profiles(report::compare::build(&compares))?;
        let report = pages::save(folder, "compare", report)?;
        Ok(Made {
            summary: report::compare::json::summary(&compares),
            report,
            is_sound: is_sound && self.before.is_valid() && self.after.is_valid(),
        })
    }

    /// `report` with what the profiles say, where they are compared; and whether they may be trusted.
    fn with_profiles(&self, report: Report) -> Result<(Report, bool), Error> {
        let Some([before, after]) = &self.profiles else { return Ok((report, true)) };
        let (was, is) = (before.half()?, after.half()?);
        let is_sound = was.profiled.is_sound() && is.profiled.is_sound();
        Ok((report.with_part(diff::build(was, is)), is_sound))
    }
}

/// A comparison whose report is written.
struct Made {
    report: Report,
    summary: serde_json::Value,
    /// Whether all runs, and the profiles that were compared, may be trusted.
    is_sound: bool,
}

impl Made {
    /// Writes the record, and shows the result.
    fn show(
        self,
        folder: &RunFolder,
        record: &CompareRecord,
        output: &Output,
    ) -> Result<Exit, Error> {
        stored::write(folder, record, self.summary.clone())?;
        output.show(&self.report, self.summary, folder)?;
        Ok(if self.is_sound { Exit::Passed } else { Exit::Invalid })
    }
}

/// Reads the runs of one side back, and judges each.
fn side(paths: &[PathBuf]) -> Result<Side, Error> {
    let (mut runs, mut validity): (Vec<_>, Vec<Validity>) = (Vec::new(), Vec::new());
    for path in paths {
        let (run, assessment) = read(&RunFolder::open(path))?;
        runs.push(run);
        validity.push(assessment.validity);
    }
    let folders = paths.iter().map(|path| path.display().to_string()).collect();
    let group = Group::of(runs)
        .map_err(|damaged| Error::BadInput(format!("the runs cannot be read: {damaged}")))?;
    Ok(Side { group, folders, validity })
}

/// An error where the runs did different work, or on different machines, unless that is allowed.
fn refuse(differences: &[Difference], allow_different: bool) -> Result<(), Error> {
    let grave = differences.iter().filter(|it| it.weight != Weight::Noted);
    let grave: Vec<String> = grave
        .map(|it| format!("  {}: {} before, {} after", it.what, it.before, it.after))
        .collect();
    if grave.is_empty() || allow_different {
        return Ok(());
    }
    Err(Error::BadInput(format!(
        "the runs did different work, or on different machines:\n{}\nMake both runs alike, or compare them all the same with --allow-different",
        grave.join("\n")
    )))
}
