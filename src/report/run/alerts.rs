//! Which alerts fired.

use crate::analysis::Ruling;
use crate::analysis::alerts::{AlertVerdict, Fired};
use crate::report::format;
use crate::report::model::{Cell, Column};
use crate::report::model::{Section, Table, Text, Tone};
use crate::scenario::slo::Severity;

use super::Source;

/// Its title.
pub const TITLE: &str = "Alerts";

/// Each rule of the scenario's alerts: over the whole run, and of a soak in its windows.
pub fn alerts(source: &Source<'_>) -> Section {
    let alerts = &source.assessment.alerts;
    let section = Section::new(TITLE).brief(!alerts.is_empty());
    if alerts.is_empty() {
        return section;
    }
    let in_windows = alerts.iter().any(|alert| alert.windows.is_some());
    let mut columns = vec![
        Column::words("Alert"),
        Column::words("Fires where"),
        Column::words("Measured"),
        Column::words("Whole run"),
    ];
    columns.extend(in_windows.then(|| Column::words("Windows")));
    let mut table = Table::new(columns);
    for alert in alerts {
        let mut row: Vec<Cell> = vec![
            Text::literal(&alert.name).into(),
            Text::from(alert.severity.name()).plain(": ").code(&alert.rule).into(),
            alert.measured.as_str().into(),
            state(alert).into(),
        ];
        if in_windows {
            row.push(alert.windows.map_or_else(
                || Cell::Missing("not judged".to_owned()),
                |windows| Text::from(in_words(&windows)).into(),
            ));
        }
        table.rows.push(row);
    }
    section.with(table)
}

fn state(alert: &AlertVerdict) -> Text {
    match (alert.ruling, alert.severity) {
        (Ruling::Failed, Severity::Critical) => Text::emphasis(Tone::Bad, "CRITICAL"),
        (Ruling::Failed, Severity::Warning) => Text::emphasis(Tone::Warning, "WARNING"),
        (Ruling::Passed, _) => Text::emphasis(Tone::Good, "quiet"),
        (Ruling::Unknown, _) => Text::from("not judged"),
    }
}

/// `3 of 12, from 40 s to 90 s`.
fn in_words(windows: &Fired) -> String {
    let Fired { judged, not_judged, fired, first, last } = *windows;
    if judged == 0 {
        return "not judged".to_owned();
    }
    let mut text = format!("fired in {fired} of {judged}");
    if let (Some(first), Some(last)) = (first, last) {
        let (first, last) = (first.as_secs_f64(), last.as_secs_f64());
        text += &format!(", from {first:.0} s to {last:.0} s");
    }
    if not_judged > 0 {
        text += &format!("; {} not judged", format::count(not_judged as u64));
    }
    text
}
