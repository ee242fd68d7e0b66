//! The tables of a comparison.

use crate::analysis::compare::workload::{Difference, Weight};
use crate::analysis::compare::{Compared, Part, Quantity, Word};
use crate::report::format;
use crate::report::model::{Cell, Column, Note, Table, Text, Tone};
use crate::report::quantity::{change, in_unit, unsigned};

use super::{Side, tone};

/// The runs of both sides.
pub(super) fn sides(sides: &[(&'static str, &Side)]) -> Table {
    let mut table = Table::new([
        Column::words(""),
        Column::words("Run"),
        Column::words("Started").expendable(2),
        Column::figures("Measured s").expendable(1),
        Column::figures("Requests"),
        Column::words("Valid"),
    ]);
    for (name, side) in sides {
        let runs = side.group.runs.iter().zip(&side.folders).zip(&side.validity);
        for ((run, folder), validity) in runs {
            let valid = match validity.is_valid() {
                true => Text::from("yes"),
                false => Text::emphasis(Tone::Bad, "no"),
            };
            let requests = run.intervals.iter().flat_map(|interval| &interval.completed);
            let ended = requests.filter(|(_, outcome, _)| outcome.is_final());
            table.rows.push(vec![
                (*name).into(),
                Text::literal(folder).into(),
                Text::literal(&run.start.started_at).into(),
                Cell::Figure(format::rate(run.window().length().as_secs_f64()), None),
                Cell::Figure(format::count(ended.map(|(_, _, count)| *count).sum()), None),
                valid.into(),
            ]);
        }
    }
    table
}

/// The figures of one part.
pub(super) fn figures(part: &Part, flag: Option<&str>, [interval, verdict]: [Note; 2]) -> Table {
    let mut table = Table::new([
        Column::words("Figure"),
        Column::figures("Before"),
        Column::figures("After"),
        Column::figures("Change"),
        Column::figures("95% interval").note(interval),
        Column::figures("Margin").expendable(1),
        Column::words("Verdict").note(verdict),
    ]);
    table.caption = flag.map(|flag| Text::emphasis(Tone::Bad, flag));
    for figure in &part.figures {
        table.rows.push(row(figure));
    }
    table
}

fn row(figure: &Compared) -> Vec<Cell> {
    let quantity = figure.quantity;
    let shown = |value: Option<f64>| {
        Cell::figure(value.map(|value| in_unit(quantity, value)), format::NOT_MEASURED)
    };
    let none_failed = quantity == Quantity::Failures
        && [figure.before, figure.after].iter().all(|share| *share == Some(0.0))
        && figure.change.is_some_and(|change| change.interval.is_some());
    let verdict = match (&figure.reason, figure.word) {
        // That nothing fails is no riddle: what is open is how seldom something might.
        (Some(reason), Word::Inconclusive) if none_failed => Text::from(reason.as_str()),
        (_, Word::Unchanged) => Text::from(Word::Unchanged.name()),
        (Some(reason), word) => {
            Text::emphasis(tone(word), word.name()).plain(format!(": {reason}"))
        }
        (None, word) => Text::emphasis(tone(word), word.name()),
    };
    vec![
        Cell::Text(quantity.label().into()),
        shown(figure.before),
        shown(figure.after),
        Cell::figure(figure.amount().map(|amount| change(quantity, amount)), "unknown"),
        Cell::figure(interval(figure), "none"),
        Cell::Figure(format!("\u{b1}{}", unsigned(quantity, figure.margin)), None),
        verdict.into(),
    ]
}

/// `Response time p95 +52.1% (95% interval +49.0% to +55.3%)`.
pub(super) fn in_words(figure: &Compared) -> String {
    let amount = figure.amount().map_or(String::new(), |it| change(figure.quantity, it));
    let interval = interval(figure).map_or(String::new(), |it| format!(" (95% interval {it})"));
    format!("{} {amount}{interval}", figure.quantity.label())
}

/// `+49.0% to +55.3%`: where the change lies with 95% confidence; `None` where that is not known.
pub fn interval(figure: &Compared) -> Option<String> {
    let interval = figure.change?.interval?;
    let [low, high] = [interval.low, interval.high].map(|end| change(figure.quantity, end));
    Some(format!("{low} to {high}"))
}

/// In what the sides differ.
pub(super) fn differences(differences: &[Difference]) -> Table {
    let mut table = Table::new([
        Column::words("What"),
        Column::words("Before"),
        Column::words("After"),
        Column::words("Weight"),
    ]);
    for it in differences {
        let weight = match it.weight {
            Weight::Workload => Text::emphasis(Tone::Warning, "other work"),
            Weight::Machine => Text::emphasis(Tone::Warning, "other machine"),
            Weight::Noted => Text::from("noted"),
        };
        table.rows.push(vec![
            it.what.as_str().into(),
            Text::literal(&it.before).into(),
            Text::literal(&it.after).into(),
            weight.into(),
        ]);
    }
    table
}
