//! Before and after: every figure of two groups of runs side by side, how far the change may be off,
//! and what that lets one say.

mod cells;
mod quantity;
pub mod workload;

use serde::{Deserialize, Serialize};

use crate::measure::distribution::Damaged;
use crate::measure::metric::{Better, Metric};
use crate::measure::resource::Observed;
use crate::measure::sample::StepId;
use crate::measure::summary::Figures;
use crate::stats::blocks::{FEWEST_RUNS, Layout, standard_errors, welch_freedom};
use crate::stats::bootstrap::Interval;
use crate::stats::proportion;
use crate::stats::student::t_95;

use super::group::Group;
use super::resources::Resources;
use cells::{Cells, Kind, Series};
pub use quantity::{Margins, Quantity, Scale, Statistic};

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

/// A group and what is drawn from it.
struct Side<'a> {
    group: &'a Group,
    cells: Cells,
    resources: Resources,
}

/// A figure, of how many values it is, and as which part of which ratio.
#[derive(Debug, Clone, Copy)]
struct Figure {
    value: f64,
    count: Option<u64>,
}

impl<'a> Side<'a> {
    fn of(group: &'a Group) -> Result<Side<'a>, Damaged> {
        let resources = group.resources(Observed::Target);
        Ok(Side { group, cells: Cells::of(group)?, resources })
    }

    fn figures(&self, step: Option<usize>) -> Option<&Figures> {
        match step {
            None => Some(&self.group.summary.total),
            Some(step) => self.group.summary.steps.get(step),
        }
    }

    /// The figure itself, as the reports of runs have it.
    fn figure(&self, quantity: Quantity, step: Option<usize>) -> Option<Figure> {
        let figures = self.figures(step)?;
        let rows = self.group.summary.rows.as_ref();
        let plain = |value: Option<f64>| value.map(|value| Figure { value, count: None });
        match quantity {
            Quantity::Time(metric, statistic) => Quantity::time(metric, statistic, figures)
                .map(|(value, count)| Figure { value, count: Some(count) }),
            Quantity::RowTime(statistic) => rows?.time.map(|latency| Figure {
                value: statistic.of(&latency),
                count: Some(latency.count),
            }),
            Quantity::Throughput => plain(figures.ok_rps),
            Quantity::Failures => plain(figures.failure_share()),
            Quantity::OutputTokens => plain(figures.output_tokens_per_s),
            Quantity::Rows => plain(rows?.ok_per_second),
            Quantity::Connections => {
                let of = (step.map(|step| StepId(step as u16)), Kind::Connections);
                let all = vec![1; self.cells.layout.runs.iter().sum()];
                let share = self.cells.series(of)?.figures(&all).first().copied();
                plain(share.filter(|share| share.is_finite()))
            }
            Quantity::CpuPerRequest => plain(self.resources.cpu_ms_per_request),
            Quantity::Cpu => plain(self.resources.cpu_mean_percent),
            Quantity::Memory => {
                let peaks = &self.cells.peaks;
                let mean = peaks.iter().sum::<f64>() / peaks.len() as f64;
                plain((!peaks.is_empty()).then_some(mean))
            }
        }
    }
}

/// Where a quantity is found in a series.
fn place(quantity: Quantity) -> Option<(Kind, usize)> {
    let at = |statistic: Statistic| Statistic::ALL.iter().position(|it| *it == statistic);
    Some(match quantity {
        Quantity::Time(metric, statistic) => (Kind::Times(metric), at(statistic)?),
        Quantity::RowTime(statistic) => (Kind::RowTimes, at(statistic)?),
        Quantity::Throughput => (Kind::Throughput, 0),
        Quantity::Failures => (Kind::Failures, 0),
        Quantity::OutputTokens => (Kind::OutputTokens, 0),
        Quantity::Rows => (Kind::Rows, 0),
        Quantity::Connections => (Kind::Connections, 0),
        Quantity::CpuPerRequest => (Kind::CpuPerRequest, 0),
        Quantity::Cpu => (Kind::Cpu, 0),
        Quantity::Memory => return None,
    })
}

/// Standard errors of a quantity: that of the change, and its degrees of freedom.
#[derive(Debug, Clone, Copy)]
struct Spread {
    error: f64,
    freedom: f64,
}

struct Pair<'a> {
    was: &'a Side<'a>,
    is: &'a Side<'a>,
    rules: &'a Rules,
    is_paired: bool,
}

impl Pair<'_> {
    fn part(&self, name: Option<String>, steps: [Option<usize>; 2]) -> Part {
        let mut figures = Vec::new();
        let mut last: Option<(Kind, Vec<Option<Spread>>)> = None;
        for quantity in self.quantities(steps) {
            let was = self.was.figure(quantity, steps[0]);
            let is = self.is.figure(quantity, steps[1]);
            // Connections that nobody opened in the measured part tell nothing.
            let is_told = |it: &Option<Figure>| match quantity {
                Quantity::Connections => it.is_some_and(|it| it.value > 0.0),
                _ => it.is_some(),
            };
            if ![was, is].iter().any(is_told) {
                continue;
            }
            let spread = match place(quantity) {
                None => self.spread_of_peaks(),
                Some((kind, index)) => {
                    // Statistics of the same times come one after another: they are drawn once.
                    let known = last.take().filter(|(drawn, _)| *drawn == kind);
                    let (_, spreads) = last.insert(
                        known.unwrap_or_else(|| (kind, self.spreads(kind, quantity, steps))),
                    );
                    spreads.get(index).copied().flatten()
                }
            };
            figures.push(self.compared(quantity, was, is, spread, steps));
        }
        Part { step: name, figures }
    }

    /// What there is to compare, in the order of reports.
    fn quantities(&self, steps: [Option<usize>; 2]) -> Vec<Quantity> {
        let figures = [self.was.figures(steps[0]), self.is.figures(steps[1])];
        let has = |metric: Metric| figures.iter().flatten().any(|it| it.latency(metric).is_some());
        let mut all = vec![Quantity::Throughput, Quantity::Failures];
        let times = |metric: Metric, which: &[Statistic]| -> Vec<Quantity> {
            which.iter().map(|statistic| Quantity::Time(metric, *statistic)).collect()
        };
        let tail = [Statistic::P50, Statistic::P95, Statistic::P99];
        all.extend(times(Metric::ResponseTime, &Statistic::ALL));
        let differs = |it: &&Figures| {
            let [response, service] =
                [Metric::ResponseTime, Metric::ServiceTime].map(|of| it.latency(of));
            response.zip(service).is_some_and(|(r, s)| (r.mean_ms / s.mean_ms - 1.0).abs() > 0.005)
        };
        if figures.iter().flatten().any(differs) {
            all.extend(times(Metric::ServiceTime, &tail));
        }
        for metric in [Metric::Ttft, Metric::InterChunk, Metric::Tpot] {
            if has(metric) {
                all.extend(times(metric, &tail));
            }
        }
        all.push(Quantity::OutputTokens);
        all.push(Quantity::Connections);
        if steps[0].is_none() {
            if [self.was, self.is].iter().any(|side| has_rows(side.group)) {
                all.push(Quantity::Rows);
                all.extend(tail.map(Quantity::RowTime));
            }
            all.extend([Quantity::CpuPerRequest, Quantity::Cpu, Quantity::Memory]);
        }
        all
    }

    /// What the figures of `kind` may be off by, in the order in which a series has them: of their
    /// logarithms where changes are relative.
    fn spreads(&self, kind: Kind, of: Quantity, steps: [Option<usize>; 2]) -> Vec<Option<Spread>> {
        let id = |step: Option<usize>| step.map(|step| StepId(step as u16));
        let series = [
            self.was.cells.series((id(steps[0]), kind)),
            self.is.cells.series((id(steps[1]), kind)),
        ];
        let [Some(was), Some(is)] = series else { return Vec::new() };
        let scaled = |figures: Vec<f64>| -> Vec<f64> {
            match of.scale() {
                Scale::Relative => figures.into_iter().map(f64::ln).collect(),
                Scale::Points => figures,
            }
        };
        let layouts = [&self.was.cells.layout, &self.is.cells.layout];
        if self.is_paired {
            return self.paired(was, is, layouts, scaled);
        }
        let errors = |layout: &Layout, series: &Series, side: u64| {
            let seed = self.rules.seed.wrapping_mul(2).wrapping_add(side);
            standard_errors(layout, seed, |weights| scaled(series.figures(weights)))
        };
        let units = layouts.map(Layout::units);
        let both = errors(layouts[0], was, 0).into_iter().zip(errors(layouts[1], is, 1));
        both.map(|(a, b)| Some(together([a?, b?], units))).collect()
    }

    /// The same where runs are pairs: pairs are drawn.
    fn paired(
        &self,
        was: &Series,
        is: &Series,
        layouts: [&Layout; 2],
        scaled: impl Fn(Vec<f64>) -> Vec<f64>,
    ) -> Vec<Option<Spread>> {
        let pairs = Layout::of_units(layouts[0].runs.len());
        let spread_over = |layout: &Layout, weights: &[u32]| -> Vec<u32> {
            let runs = layout.runs.iter().zip(weights);
            runs.flat_map(|(cells, weight)| std::iter::repeat_n(*weight, *cells)).collect()
        };
        let difference = |weights: &[u32]| -> Vec<f64> {
            let [a, b] = [(layouts[0], was), (layouts[1], is)]
                .map(|(layout, series)| scaled(series.figures(&spread_over(layout, weights))));
            a.into_iter().zip(b).map(|(a, b)| b - a).collect()
        };
        let freedom = pairs.units() - 1.0;
        let errors = standard_errors(&pairs, self.rules.seed, difference).into_iter();
        errors.map(|error| error.map(|error| Spread { error, freedom })).collect()
    }

    fn spread_of_peaks(&self) -> Option<Spread> {
        let peaks = [&self.was.cells.peaks, &self.is.cells.peaks];
        let layouts = peaks.map(|peaks| Layout::of_units(peaks.len()));
        let of = |layout: &Layout, peaks: &[f64], seed: u64| {
            let series = Series::Ratio(peaks.iter().map(|peak| (*peak, 1.0)).collect());
            let log = |weights: &[u32]| vec![series.figures(weights)[0].ln()];
            standard_errors(layout, self.rules.seed.wrapping_add(seed), log)[0]
        };
        let errors = [of(&layouts[0], peaks[0], 0)?, of(&layouts[1], peaks[1], 1)?];
        Some(together(errors, layouts.each_ref().map(Layout::units)))
    }

    fn compared(
        &self,
        quantity: Quantity,
        was: Option<Figure>,
        is: Option<Figure>,
        spread: Option<Spread>,
        steps: [Option<usize>; 2],
    ) -> Compared {
        let margin = self.rules.margins.of(quantity);
        let mut compared = Compared {
            quantity,
            before: was.map(|it| it.value),
            after: is.map(|it| it.value),
            change: None,
            margin,
            word: Word::Inconclusive,
            reason: None,
        };
        let (Some(was), Some(is)) = (was, is) else {
            let side = if was.is_none() { "before" } else { "after" };
            compared.reason = Some(format!("not measured {side}"));
            return compared;
        };
        let lacks = self.lacks(quantity, was, is, spread);
        let interval = match lacks {
            Some(_) => None,
            None => spread.and_then(|spread| self.interval(quantity, was, is, spread, steps)),
        };
        compared.change = Some(Change {
            difference: is.value - was.value,
            ratio: (was.value > 0.0).then(|| is.value / was.value),
            interval,
        });
        (compared.word, compared.reason) = match (interval, compared.amount()) {
            (Some(interval), Some(amount)) => judge(quantity.better(), margin, amount, interval),
            _ => {
                (Word::Inconclusive, lacks.or_else(|| Some("it is nothing on one side".to_owned())))
            }
        };
        compared
    }

    /// Why there is no interval, where there is none.
    fn lacks(
        &self,
        quantity: Quantity,
        was: Figure,
        is: Figure,
        spread: Option<Spread>,
    ) -> Option<String> {
        if let Quantity::Time(_, statistic) | Quantity::RowTime(statistic) = quantity {
            let fewest = was.count.into_iter().chain(is.count).min().unwrap_or(0);
            let needed = statistic.samples_needed();
            if fewest < needed {
                return Some(format!("{fewest} values, fewer than {needed}"));
            }
        }
        let is_none = |side: &Side<'_>| !side.cells.layout.is_enough();
        match (quantity, spread) {
            (_, Some(_)) => None,
            (Quantity::Memory, None) => {
                Some(format!("one value a run, fewer than {FEWEST_RUNS} runs"))
            }
            _ if is_none(self.was) || is_none(self.is) => Some("too few blocks of time".to_owned()),
            _ => Some("there is nothing of it in most of the time".to_owned()),
        }
    }

    /// Where the change lies with 95% confidence.
    fn interval(
        &self,
        quantity: Quantity,
        was: Figure,
        is: Figure,
        spread: Spread,
        steps: [Option<usize>; 2],
    ) -> Option<Interval> {
        let reach = t_95(spread.freedom) * spread.error;
        match quantity.scale() {
            Scale::Relative => {
                let log = (is.value / was.value).ln();
                let around = |reach: f64| (log + reach).exp() - 1.0;
                let interval = Interval { low: around(-reach), high: around(reach) };
                (interval.low.is_finite() && interval.high.is_finite()).then_some(interval)
            }
            Scale::Points => {
                let difference = is.value - was.value;
                // Failures come in bursts, which blocks show; but what never happened has none.
                let counts =
                    [(self.was, steps[0], was), (self.is, steps[1], is)].map(|(side, step, it)| {
                        let of = side.figures(step).map_or(0, Figures::count) as f64;
                        (it.value.min(1.0) * of, of)
                    });
                let alone = proportion::difference(counts[0], counts[1])?;
                Some(Interval {
                    low: (difference - reach).min(alone.low).max(-1.0),
                    high: (difference + reach).max(alone.high).min(1.0),
                })
            }
        }
    }
}

fn together(errors: [f64; 2], units: [f64; 2]) -> Spread {
    Spread { error: errors[0].hypot(errors[1]), freedom: welch_freedom(errors, units) }
}

/// Whether the rows of `group` are something else than its requests.
fn has_rows(group: &Group) -> bool {
    let is_of_many = group.summary.rows.as_ref().is_some_and(|rows| {
        rows.effort.in_responses > 0 || rows.requests_per_row().is_some_and(|it| it > 1.01)
    });
    is_of_many || group.runs.iter().any(|run| run.start.plan.rows.is_some())
}

/// What can be said of a change by `amount`, which lies in `interval`.
fn judge(better: Better, margin: f64, amount: f64, interval: Interval) -> (Word, Option<String>) {
    // More of what gets better as it falls is worse.
    let (worse, low, high) = match better {
        Better::Lower => (amount, interval.low, interval.high),
        Better::Higher => (-amount, -interval.high, -interval.low),
    };
    if -margin < interval.low && interval.high < margin {
        return (Word::Unchanged, None);
    }
    let reason = match (low > 0.0, high < 0.0) {
        (true, _) if worse > margin => return (Word::Regressed, None),
        (_, true) if -worse > margin => return (Word::Improved, None),
        (true, _) => "worse, by more or less than the margin",
        (_, true) => "better, by more or less than the margin",
        _ => "better or worse",
    };
    (Word::Inconclusive, Some(reason.to_owned()))
}
