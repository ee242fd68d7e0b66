//! `gander report FOLDER`, and the end of every run: the report is made from the run folder alone.

use crate::analysis::diagnose::Diagnosis;
use crate::analysis::profile::ProfileFindings;
use crate::analysis::{Assessment, Ruling, assess};
use crate::error::{Error, Exit};
use crate::measure::distribution::Damaged;
use crate::plan::Stop;
use crate::profile::{pprof, speedscope};
use crate::report;
use crate::report::dialect::Dialect;
use crate::report::model::Report;
use crate::store;
use crate::store::folder::RunFolder;
use crate::store::run::Run;
use crate::store::{journal, views};

use super::output::{Format, Output};
use super::{pages, signals};

/// `gander report FOLDER`: of a run, a sweep, a study, a self-test, a comparison or a gate.
pub fn report(folder: &RunFolder, section: Option<&str>, output: &Output) -> Result<Exit, Error> {
    let path = folder.path();
    let of_several = match () {
        () if store::sweep::is_sweep(path) => super::sweep::finish,
        () if store::study::is_study(path) => super::study::finish,
        () if store::selftest::is_selftest(path) => super::selftest::finish,
        () if store::compare::is_comparison(path) => super::compare::finish,
        () if store::gate::is_gate(path) => super::gate::finish,
        () => return show(folder, section, output),
    };
    if section.is_some() {
        let what = format!("{} is no folder of a run", path.display());
        return Err(Error::BadInput(format!("{what}: --section shows a part of a run's report")));
    }
    of_several(folder, output)
}

/// Makes every file of the run's report again, shows it, and says how the run went.
pub fn finish(folder: &RunFolder, output: &Output) -> Result<Exit, Error> {
    show(folder, None, output)
}

fn show(folder: &RunFolder, section: Option<&str>, output: &Output) -> Result<Exit, Error> {
    let Saved { run, assessment, report, profile, diagnosis } = save(folder, output.dialect)?;
    match output.format {
        Format::Text => {
            let report = match section {
                Some(name) => {
                    report.only(name).map_err(|error| Error::BadInput(error.to_string()))?
                }
                None => report,
            };
            output.print(&report::terminal::render(&report, output.width(), output.colour()))?;
        }
        Format::Json => {
            let mut summary = report::json::summary(&run, &assessment);
            summary["profile"] = report::profile::json(&profile);
            summary["diagnosis"] = report::diagnosis::json(&diagnosis);
            summary["run_folder"] = folder.path().display().to_string().into();
            output.print(&format!("{summary:#}\n"))?;
        }
    }
    Ok(exit(&run, &assessment))
}

/// A run whose report is saved.
pub struct Saved {
    /// The run, as read back.
    pub run: Run,
    /// What it means.
    pub assessment: Assessment,
    /// Its report.
    pub report: Report,
    /// What its profiles say.
    pub profile: ProfileFindings,
    /// What it suffers from.
    pub diagnosis: Diagnosis,
}

/// Reads a run back and writes every file of its report, with what another tool would count where a
/// `dialect` is asked for.
pub fn save(folder: &RunFolder, dialect: Option<Dialect>) -> Result<Saved, Error> {
    let (run, assessment) = read(folder)?;
    views::write(folder, &run, &assessment.summary, &assessment.validity)?;
    let profile = ProfileFindings::of(&store::profiles::read(folder.path())?, &run);
    save_profiles(folder, &profile)?;
    let diagnosis =
        Diagnosis::of(&run, &assessment, profile.if_taken()).map_err(damaged(folder))?;
    let mut report = report::run::build(&run, &assessment);
    report::profile::add_to(&mut report, &profile, &run, &assessment);
    report::diagnosis::add_to(&mut report, &diagnosis);
    if let Some(dialect) = dialect {
        report.sections.push(dialect.section(&run.start.plan, &assessment.summary));
    }
    let report = pages::save(folder, "report", report)?;
    Ok(Saved { run, assessment, report, profile, diagnosis })
}

/// The forms of each profile that other tools open.
fn save_profiles(folder: &RunFolder, findings: &ProfileFindings) -> Result<(), Error> {
    for profiled in &findings.taken {
        let record = &profiled.record;
        let path = |ending| format!("{}/{}.{ending}", store::profiles::FOLDER, record.name);
        let meta = pprof::Meta {
            counts: record.counts,
            empty: record.empty,
            period: profiled.period(),
            duration: Some(record.sampled),
        };
        folder.write(&path("pb.gz"), &pprof::encode(&profiled.folded, &meta))?;
        let speedscope = speedscope::render(&profiled.folded, &record.name).to_string();
        folder.write(&path("speedscope.json"), speedscope.as_bytes())?;
    }
    Ok(())
}

/// Reads a run back, and judges it.
pub fn read(folder: &RunFolder) -> Result<(Run, Assessment), Error> {
    let run = journal::read(folder.path())?;
    let assessment = assess(&run).map_err(damaged(folder))?;
    Ok((run, assessment))
}

/// Records that are damaged are bad input.
pub fn damaged(folder: &RunFolder) -> impl Fn(Damaged) -> Error {
    |damaged| Error::BadInput(format!("{}: {damaged}", folder.path().display()))
}

/// An interruption says more than the verdicts of what was cut short; an invalid run can be
/// neither a pass nor a failure.
fn exit(run: &Run, assessment: &Assessment) -> Exit {
    match run.end.as_ref().map(|end| end.stop) {
        Some(stop @ (Stop::Interrupted | Stop::Terminated)) => signals::exit_of(stop),
        _ if !assessment.validity.is_valid() => Exit::Invalid,
        _ if assessment.verdicts.iter().any(|verdict| verdict.ruling != Ruling::Passed) => {
            Exit::Failed
        }
        _ if assessment.alarms() => Exit::Failed,
        _ => Exit::Passed,
    }
}
