//! The charts of a run.

use crate::measure::metric::Metric;
use crate::report::chart;
use crate::report::model::{Section, Text};

use crate::schedule::LoadModel;

use super::Source;

/// Latency, of streams the time to the first token, the distribution, throughput, resources.
pub fn charts(source: &Source<'_>) -> Section {
    let section = Section::new("Charts");
    let timeline = match &source.timeline {
        Ok(timeline) => timeline,
        Err(damaged) => {
            return section.with(Text::from(format!("The charts cannot be drawn: {damaged}.")));
        }
    };
    let (window, flag) = (source.window(), source.flag());
    let open = match source.load() {
        LoadModel::Open(load) => Some(load),
        LoadModel::Closed(_) => None,
    };
    let times = source.assessment.merged.successes(None, Metric::ResponseTime);
    let has_streams = source.plan().steps.iter().any(|step| step.streams);
    let first_token = (
        chart::first_token(timeline, window, flag),
        "No stream succeeded: no times to the first token over time.",
    );
    let charts = [
        (
            chart::latency(timeline, window, flag),
            "No request succeeded: no response times over time.",
        ),
        (
            chart::distribution(&times, flag),
            "No request succeeded in the measured part: no distribution of response times.",
        ),
        (chart::throughput(timeline, window, flag, open), "Nothing was recorded: no throughput."),
        (
            chart::resources(source.run, window, flag),
            "Neither the CPU nor the memory of the target or of gander was measured.",
        ),
        (
            chart::counts(source.run, window, flag),
            "The target's files, sockets and threads were not measured.",
        ),
    ];
    let (first, rest) = charts.split_at(1);
    let charts = first.iter().chain(has_streams.then_some(&first_token)).chain(rest);
    charts.fold(section, |section, (chart, why_not)| match chart {
        Some(chart) => section.with(chart.clone()),
        None => section.with(*why_not),
    })
}
