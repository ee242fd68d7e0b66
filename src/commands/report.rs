//! `gander report RUN`, and the end of every run: the report is made from the run folder alone.

use crate::analysis::{Assessment, Ruling, assess};
use crate::error::{Error, Exit};
use crate::plan::Stop;
use crate::report;
use crate::store::folder::RunFolder;
use crate::store::run::Run;
use crate::store::{journal, views};

use super::output::{Format, Output};
use super::signals;

/// Makes every file of the folder's report again, shows it, and says how the run went.
pub fn finish(folder: &RunFolder, output: &Output) -> Result<Exit, Error> {
    let run = journal::read(folder.path())?;
    let assessment = assess(&run)
        .map_err(|damaged| Error::BadInput(format!("{}: {damaged}", folder.path().display())))?;
    views::write(folder, &run, &assessment.summary, &assessment.validity)?;
    let place = folder.path().join("report.md");
    let report = report::run::build(&run, &assessment).saved_as(place.display().to_string());
    for chart in report.charts() {
        folder.write(&format!("charts/{}.svg", chart.file_stem), chart.svg.as_bytes())?;
    }
    folder.write("report.md", report::markdown::render(&report).as_bytes())?;
    match output.format {
        Format::Text => {
            output.print(&report::terminal::render(&report, output.width(), output.colour()))?;
        }
        Format::Json => {
            let mut summary = report::json::summary(&run, &assessment);
            summary["run_folder"] = folder.path().display().to_string().into();
            output.print(&format!("{summary:#}\n"))?;
        }
    }
    Ok(exit(&run, &assessment))
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
        _ => Exit::Passed,
    }
}
