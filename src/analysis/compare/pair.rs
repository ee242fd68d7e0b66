//! Two sides held against each other: what changed, how far that may be off, and what it means.

use crate::analysis::group::Group;
use crate::measure::metric::{Better, Metric};
use crate::measure::sample::StepId;
use crate::measure::summary::Figures;
use crate::stats::blocks::{FEWEST_RUNS, Layout, standard_errors, welch_freedom};
use crate::stats::bootstrap::Interval;
use crate::stats::proportion;
use crate::stats::student::t_95;

use super::cells::{Kind, Series};
use super::quantity::{Quantity, Scale, Statistic};
use super::side::{Figure, Side, place};
use super::{Change, Compared, Part, Rules, Word};

/// Standard errors of a quantity: that of the change, and its degrees of freedom.
#[derive(Debug, Clone, Copy)]
struct Spread {
    error: f64,
    freedom: f64,
}

/// Both sides.
pub(super) struct Pair<'a> {
    pub(super) was: &'a Side<'a>,
    pub(super) is: &'a Side<'a>,
    pub(super) rules: &'a Rules,
    /// Whether the n-th runs of both belong together.
    pub(super) is_paired: bool,
}

impl Pair<'_> {
    /// The figures of one step of each side, or of all of them.
    pub(super) fn part(&self, name: Option<String>, steps: [Option<usize>; 2]) -> Part {
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
        follow_throughput(&mut figures);
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
            (Some(interval), Some(amount)) => {
                let (word, reason) = judge(quantity.better(), margin, amount, interval);
                let none = match quantity {
                    Quantity::Failures if word == Word::Inconclusive => {
                        self.none_seen(steps, [was, is], interval)
                    }
                    _ => None,
                };
                (word, none.or(reason))
            }
            _ => {
                (Word::Inconclusive, lacks.or_else(|| Some("it is nothing on one side".to_owned())))
            }
        };
        compared
    }

    /// What can be said where nothing failed on either side.
    fn none_seen(
        &self,
        steps: [Option<usize>; 2],
        figures: [Figure; 2],
        interval: Interval,
    ) -> Option<String> {
        let count = |side: &Side<'_>, step| side.figures(step).map_or(0, Figures::count);
        figures.iter().all(|figure| figure.value == 0.0).then(|| {
            format!(
                "none in {} and in {}; a rise of up to {:.2} points cannot be excluded",
                count(self.was, steps[0]),
                count(self.is, steps[1]),
                interval.high * 100.0
            )
        })
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
                return Some(format!("too few values: {fewest}, and {needed} are needed"));
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

/// Processor time as such is as much as the work that was done: where throughput moved, only that of a
/// request tells what became better or worse.
fn follow_throughput(figures: &mut [Compared]) {
    let moved = figures.iter().any(|it| {
        it.quantity == Quantity::Throughput && matches!(it.word, Word::Improved | Word::Regressed)
    });
    let cpu = figures.iter_mut().find(|it| it.quantity == Quantity::Cpu);
    if let Some(cpu) = cpu.filter(|it| moved && it.word != Word::Unchanged) {
        cpu.word = Word::Inconclusive;
        cpu.reason = Some("it goes with throughput: see CPU per request".to_owned());
    }
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
        _ => "too noisy to say whether better or worse",
    };
    (Word::Inconclusive, Some(reason.to_owned()))
}
