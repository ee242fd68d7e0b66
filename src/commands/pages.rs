//! The files of a report: Markdown, a page, and charts.

use crate::error::Error;
use crate::report::model::Report;
use crate::report::{html, markdown};
use crate::store::folder::RunFolder;

/// Writes the charts, `NAME.md` and `NAME.html` into `folder`, and returns the report, which says now
/// where it lies.
pub fn save(folder: &RunFolder, name: &str, report: Report) -> Result<Report, Error> {
    for chart in report.charts() {
        folder.write(&chart.file(), chart.svg.as_bytes())?;
    }
    folder.write(&format!("{name}.html"), html::render(&report).as_bytes())?;
    let page = format!("{name}.md");
    folder.write(&page, markdown::render(&report).as_bytes())?;
    Ok(report.saved_as(folder.path().join(page).display().to_string()))
}
