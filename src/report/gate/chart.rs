//! The chart of a gate: every change with its interval.

use crate::analysis::gate::{Call, Judged};
use crate::report::chart::Words;
use crate::report::chart::changes::{Look, Row, changes};
use crate::report::model::Chart;

use super::Told;

/// The changes of all figures; `None` where there is no figure.
pub(super) fn chart(told: &Told<'_>) -> Option<Chart> {
    let rows: Vec<Row> = told.judged.iter().map(row).collect();
    let words = Words {
        title: "Change from base to head",
        subtitle: "Marks are changes, lines their 90% intervals",
        axis: "Change from base to head (%; failures in percentage points)",
        file_stem: "gate-changes",
        flag: None,
    };
    changes(words, &rows)
}

fn row(judged: &Judged) -> Row {
    Row {
        name: judged.subject.label(),
        quantity: judged.subject.quantity,
        effect: judged.effect.map(|effect| (effect, judged.interval.map(|it| (it.low, it.high)))),
        margin: judged.margin,
        look: match judged.call {
            Call::Regressed => Look::Worse,
            Call::Improved => Look::Better,
            Call::Unchanged | Call::NoWorse => Look::Same,
            Call::Inconclusive => Look::Open,
        },
        word: judged.call.name(),
    }
}
