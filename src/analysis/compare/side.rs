//! One side of a comparison: its figures, and what they may be drawn from.

use crate::analysis::group::Group;
use crate::analysis::resources::Resources;
use crate::measure::distribution::Damaged;
use crate::measure::resource::Observed;
use crate::measure::sample::StepId;
use crate::measure::summary::Figures;

use super::cells::{Cells, Kind};
use super::quantity::{Quantity, Statistic};

/// A group and what is drawn from it.
pub(super) struct Side<'a> {
    pub(super) group: &'a Group,
    pub(super) cells: Cells,
    resources: Resources,
}

/// A figure, and of how many values it is, where it is of values.
#[derive(Debug, Clone, Copy)]
pub(super) struct Figure {
    pub(super) value: f64,
    pub(super) count: Option<u64>,
}

impl<'a> Side<'a> {
    pub(super) fn of(group: &'a Group) -> Result<Side<'a>, Damaged> {
        let resources = group.resources(Observed::Target);
        Ok(Side { group, cells: Cells::of(group)?, resources })
    }

    pub(super) fn figures(&self, step: Option<usize>) -> Option<&Figures> {
        match step {
            None => Some(&self.group.summary.total),
            Some(step) => self.group.summary.steps.get(step),
        }
    }

    /// The figure itself, as the reports of runs have it.
    pub(super) fn figure(&self, quantity: Quantity, step: Option<usize>) -> Option<Figure> {
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
pub(super) fn place(quantity: Quantity) -> Option<(Kind, usize)> {
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
