//! The charts of a run.

use crate::measure::metric::Metric;
use crate::report::chart;
use crate::report::model::{Section, Text};

use crate::schedule::LoadModel;

use super::Source;

/// Latency, its distribution, throughput, resources.
pub fn charts(source: &Source<'_>) -> Section {
    let section = Section::new("Charts");
    let timeline = match &source.timeline {
        Ok(timeline) => timeline,
        Err(damaged) => {
            return section.with(Text::from(format!("The charts cannot be drawn: {damaged}.")));
        }
    };
    let (window, flag) = (source.window(), source.flag());
    let is_open = matches!(source.load(), LoadModel::Open(_));
    let times = source.assessment.merged.successes(None, Metric::ResponseTime);
    let charts = [
        (
            chart::latency(timeline, window, flag),
            "No request succeeded: no response times over time.",
        ),
        (
            chart::distribution(&times, flag),
            "No request succeeded in the measured part: no distribution of response times.",
        ),
        (
            chart::throughput(timeline, window, flag, is_open),
            "Nothing was recorded: no throughput.",
        ),
        (
            chart::resources(source.run, window, flag),
            "Neither the CPU nor the memory of the target or of gander was measured.",
        ),
        (
            chart::counts(source.run, window, flag),
            "The target's files, sockets and threads were not measured.",
        ),
    ];
    charts.into_iter().fold(section, |section, (chart, why_not)| match chart {
        Some(chart) => section.with(chart),
        None => section.with(why_not),
    })
}
