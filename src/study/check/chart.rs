//! Pictures of a study's sections.

use std::ops::Range;

use super::super::file::{BarFile, ChartFile, ChartKind};
use super::super::model::{Chart, Drawn};
use super::Checker;
use crate::scenario::written::At;

/// Kinds of bars that a picture can tell apart.
const MOST_SERIES: usize = 4;

impl Checker<'_> {
    /// What a picture shows; nothing where that is not clear, which is said.
    pub(super) fn chart(&mut self, At { value: file, span }: At<ChartFile>) -> Option<Chart> {
        let ChartFile { kind, title, runs, at, axis, series, bar } = file;
        let runs: Vec<String> = runs.into_iter().map(|run| self.known(run)).collect();
        let has_bars = matches!(kind.value, ChartKind::Bars | ChartKind::Waterfall);
        if has_bars != runs.is_empty() {
            let label =
                if has_bars { "`series` and `bar` in place of `runs`" } else { "`runs = […]`" };
            self.wrong(&kind.span, "this picture shows nothing", label);
            return None;
        }
        let bars: Vec<(String, Vec<String>)> =
            bar.into_iter().filter_map(|bar| self.bar(bar, series.len())).collect();
        let drawn = match kind.value {
            ChartKind::Percentiles => Drawn::Percentiles(runs),
            ChartKind::Memory => Drawn::Memory(runs),
            ChartKind::Latency => Drawn::Latency(self.the_one(runs, &span)?),
            ChartKind::Throughput => Drawn::Throughput(self.the_one(runs, &span)?),
            ChartKind::Curve => self.curve(runs, &at, axis, &span)?,
            ChartKind::Bars => self.bars(axis, series, bars, &span)?,
            ChartKind::Waterfall => self.waterfall(series, bars, &span)?,
        };
        Some(Chart { title, drawn })
    }

    fn bar(
        &mut self,
        At { value, span }: At<BarFile>,
        series: usize,
    ) -> Option<(String, Vec<String>)> {
        let BarFile { name, values } = value;
        if values.len() != series {
            let message = format!("{} values in a bar of {series}", values.len());
            self.wrong(&span, message, "one value for each of `series`");
            return None;
        }
        Some((name, values.into_iter().map(|value| self.expression(value)).collect()))
    }

    fn the_one(&mut self, runs: Vec<String>, span: &Range<usize>) -> Option<String> {
        match <[String; 1]>::try_from(runs) {
            Ok([run]) => Some(run),
            Err(_) => {
                self.wrong(span, "this picture shows one run", "`runs = [\"…\"]`");
                None
            }
        }
    }

    fn curve(
        &mut self,
        runs: Vec<String>,
        at: &[f64],
        axis: Option<String>,
        span: &Range<usize>,
    ) -> Option<Drawn> {
        if at.len() != runs.len() || at.iter().any(|load| !load.is_finite() || *load <= 0.0) {
            self.wrong(
                span,
                "each run of a curve has a load",
                "`at = […]`, one number for each run",
            );
            return None;
        }
        let axis = axis.unwrap_or_else(|| "Users".to_owned());
        Some(Drawn::Curve { points: at.iter().copied().zip(runs).collect(), axis })
    }

    fn bars(
        &mut self,
        axis: Option<String>,
        series: Vec<String>,
        bars: Vec<(String, Vec<String>)>,
        span: &Range<usize>,
    ) -> Option<Drawn> {
        let Some(axis) = axis else {
            self.wrong(span, "an axis needs a name and a unit", "`axis = \"Gain (times)\"`");
            return None;
        };
        if !(1..=MOST_SERIES).contains(&series.len()) {
            let label = format!("`series` of 1 to {MOST_SERIES} names");
            self.wrong(span, "a picture of bars says what they are", label);
            return None;
        }
        Some(Drawn::Bars { axis, series, bars })
    }

    fn waterfall(
        &mut self,
        series: Vec<String>,
        bars: Vec<(String, Vec<String>)>,
        span: &Range<usize>,
    ) -> Option<Drawn> {
        let sides = <[String; 2]>::try_from(series);
        let two = |(name, values)| Some((name, <[String; 2]>::try_from(values).ok()?));
        match (sides, bars.into_iter().map(two).collect()) {
            (Ok(sides), Some(components)) => Some(Drawn::Waterfall { sides, components }),
            _ => {
                self.wrong(span, "a waterfall has two sides", "`series = [\"before\", \"after\"]`");
                None
            }
        }
    }
}
