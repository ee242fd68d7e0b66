//! Before and after: every figure of two groups of runs side by side, how far the change may be off,
//! and what that lets one say.

mod cells;
mod pair;
mod quantity;
mod side;
pub mod workload;

use serde::{Deserialize, Serialize};

use crate::measure::distribution::Damaged;
use crate::stats::blocks::FEWEST_RUNS;
use crate::stats::bootstrap::Interval;

use super::group::Group;
use pair::Pair;
pub use quantity::{Margins, Quantity, Scale, Statistic};
use side::Side;

/// How groups are compared.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Rules {
    /// By how much figures may differ and count as unchanged.
    pub margins: Margins,
    /// Whether the n-th run before and the n-th run after were made together, so that what disturbed
    /// one disturbed the other.
    pub paired: bool,
    /// Seed of the resampling.
    pub seed: u64,
}

/// What can be said of a figure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Word {
    /// Worse: the whole interval is, and the change is larger than the margin.
    Regressed,
    /// Better, by the same rule.
    Improved,
    /// The whole interval lies within the margin: two one-sided tests, each at 2.5% (Schuirmann 1987).
    Unchanged,
    /// None of these.
    Inconclusive,
}

impl Word {
    /// All, in the order of headlines.
    pub const ALL: [Word; 4] =
        [Word::Regressed, Word::Improved, Word::Unchanged, Word::Inconclusive];

    /// In reports and files.
    pub fn name(self) -> &'static str {
        match self {
            Word::Regressed => "regressed",
            Word::Improved => "improved",
            Word::Unchanged => "unchanged",
            Word::Inconclusive => "inconclusive",
        }
    }
}

/// A change.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Change {
    /// After less before, in the unit of the figure.
    pub difference: f64,
    /// After over before; `None` where it was nothing before.
    pub ratio: Option<f64>,
    /// Where the true change lies with 95% confidence: as a share of what it was (0.1 is 10% more) or,
    /// of shares, as a difference (0.01 is one point more). `None` where nothing can be said.
    pub interval: Option<Interval>,
}

/// A figure, before and after.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Compared {
    /// Which.
    pub quantity: Quantity,
    /// Before; `None` where it was not measured.
    pub before: Option<f64>,
    /// After.
    pub after: Option<f64>,
    /// The change; `None` where one of them is not known.
    pub change: Option<Change>,
    /// How far it may differ and count as unchanged.
    pub margin: f64,
    /// What can be said.
    pub word: Word,
    /// Why no more, where it is inconclusive.
    pub reason: Option<String>,
}

impl Compared {
    /// The change on the scale of its margin and interval: a share of what it was, or points.
    pub fn amount(&self) -> Option<f64> {
        let change = self.change?;
        match self.quantity.scale() {
            Scale::Relative => change.ratio.map(|ratio| ratio - 1.0),
            Scale::Points => Some(change.difference),
        }
    }
}

/// The figures of one step, or of all of them together.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Part {
    /// The step; `None` for all together.
    pub step: Option<String>,
    /// Its figures.
    pub figures: Vec<Compared>,
}

/// What the intervals of one side rest on.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Basis {
    /// Runs.
    pub runs: usize,
    /// Whether runs were drawn, and stretches of time within them; else these alone.
    pub draws_runs: bool,
    /// Length of a stretch, in seconds.
    pub block_seconds: f64,
    /// Independent units: runs or stretches.
    pub units: f64,
}

/// Two groups, compared.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Comparison {
    /// All steps together, then each step that both sides have, where there are several.
    pub parts: Vec<Part>,
    /// Whether runs were taken in pairs.
    pub paired: bool,
    /// What the intervals rest on: before and after.
    pub basis: [Basis; 2],
    /// Margins.
    pub margins: Margins,
}

impl Comparison {
    /// Every figure of all parts.
    pub fn figures(&self) -> impl Iterator<Item = (&Part, &Compared)> {
        self.parts.iter().flat_map(|part| part.figures.iter().map(move |it| (part, it)))
    }
}

/// Compares `before` and `after` by `rules`. Whether they did the same work, and whether their runs are
/// valid, is for [`workload`] and the runs' own assessments to say.
///
/// # Errors
///
/// A histogram that cannot be decoded.
pub fn compare(before: &Group, after: &Group, rules: &Rules) -> Result<Comparison, Damaged> {
    let sides = [Side::of(before)?, Side::of(after)?];
    let [was, is] = &sides;
    let is_paired = rules.paired
        && was.group.runs.len() == is.group.runs.len()
        && was.group.runs.len() >= FEWEST_RUNS;
    let pair = Pair { was, is, rules, is_paired };
    let names = |side: &Side<'_>| -> Vec<String> {
        let first = side.group.runs.iter().max_by_key(|run| run.start.plan.steps.len());
        let steps = first.map(|run| run.start.plan.steps.iter());
        steps.into_iter().flatten().map(|step| step.name.clone()).collect()
    };
    let (old, new) = (names(was), names(is));
    let mut parts = vec![pair.part(None, [None, None])];
    if old.len().max(new.len()) > 1 {
        for (index, name) in old.iter().enumerate() {
            if let Some(place) = new.iter().position(|other| other == name) {
                parts.push(pair.part(Some(name.clone()), [index, place].map(Some)));
            }
        }
    }
    let basis = sides.each_ref().map(|side| Basis {
        runs: side.group.runs.len(),
        draws_runs: side.cells.layout.draws_runs(),
        block_seconds: side.cells.layout.block as f64 * side.cells.cell_seconds,
        units: side.cells.layout.units(),
    });
    Ok(Comparison { parts, paired: is_paired, basis, margins: rules.margins.clone() })
}
