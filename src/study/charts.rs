//! The pictures of a study's report.

use super::figures::Measured;
use super::model::{Chart as Asked, Drawn};
use super::report::Findings;
use crate::analysis::capacity::search::Of;
use crate::analysis::capacity::{Group, Level, PointFigures};
use crate::measure::metric::Metric;
use crate::measure::resource::Observed;
use crate::report::chart::{self, Words, grouped, memory, percentiles, sweep, waterfall};
use crate::report::model::{Block, Chart, Text};
use crate::report::timeline::Timeline;
use crate::schedule::LoadModel;
use crate::stats::usl;

/// What is asked for as pictures, in a section whose pictures have `stem` in their names; why not,
/// where there is nothing to draw.
pub fn drawn(asked: &Asked, stem: &str, findings: &Findings) -> Vec<Block> {
    let mut charts = match &asked.drawn {
        Drawn::Percentiles(runs) => of_percentiles(runs, findings).into_iter().collect(),
        Drawn::Memory(runs) => of_memory(runs, findings).into_iter().collect(),
        Drawn::Latency(run) => over_time(run, findings, false),
        Drawn::Throughput(run) => over_time(run, findings, true),
        Drawn::Curve { points, axis } => curve(points, axis, asked.title.as_deref(), findings),
        Drawn::Bars { axis, series, bars } => {
            of_bars(asked, axis, series, bars, findings).into_iter().collect()
        }
        Drawn::Waterfall { sides, components } => {
            components_of(asked, sides, components, findings).into_iter().collect()
        }
    };
    let is_one = charts.len() == 1;
    for chart in &mut charts {
        chart.file_stem = format!("{stem}-{}", chart.file_stem);
        if let (Some(title), true) = (&asked.title, is_one) {
            chart.title.clone_from(title);
        }
    }
    match charts.is_empty() {
        true => vec![Text::from("No picture: what it would show was not measured.").into()],
        false => charts.into_iter().map(Block::from).collect(),
    }
}

/// The runs that were measured, with what each is.
fn measured<'a>(runs: &'a [String], findings: &'a Findings) -> Vec<(&'a str, &'a Measured)> {
    let of = |name: &'a String| Some((findings.about(name), findings.measured.get(name)?));
    runs.iter().filter_map(of).collect()
}

fn flag(runs: &[(&str, &Measured)]) -> Option<&'static str> {
    runs.iter().any(|(_, of)| !of.validity.is_valid()).then_some("INVALID RUN")
}

fn of_percentiles(runs: &[String], findings: &Findings) -> Option<Chart> {
    let runs = measured(runs, findings);
    let times: Vec<_> =
        runs.iter().map(|(_, of)| of.group.merged.successes(None, Metric::ResponseTime)).collect();
    let named: Vec<percentiles::Named<'_>> = runs
        .iter()
        .zip(&times)
        .map(|((name, _), times)| percentiles::Named { name, times })
        .collect();
    percentiles::percentiles("Response time", "percentiles", &named, flag(&runs))
}

/// Of each run its first slice: another one has another process.
fn of_memory(runs: &[String], findings: &Findings) -> Option<Chart> {
    let runs = measured(runs, findings);
    let looks: Vec<Vec<(f64, u64)>> = runs
        .iter()
        .map(|(_, of)| {
            let first = of.group.runs.first();
            let looks = first.into_iter().flat_map(|run| run.resources_of(Observed::Target));
            looks.filter_map(|look| Some((look.at.as_secs_f64(), look.rss_bytes?))).collect()
        })
        .collect();
    let named: Vec<memory::Resident<'_>> = runs
        .iter()
        .zip(&looks)
        .map(|((name, _), looks)| memory::Resident { name, looks })
        .collect();
    memory::memory("memory", &named, flag(&runs))
}

/// The first slice of a run over its time.
fn over_time(run: &str, findings: &Findings, is_throughput: bool) -> Vec<Chart> {
    let Some(of) = findings.measured.get(run) else { return Vec::new() };
    let Some(first) = of.group.runs.first() else { return Vec::new() };
    let Ok(timeline) = Timeline::of(first) else { return Vec::new() };
    let (window, flag) = (first.window(), (!of.validity.is_valid()).then_some("INVALID RUN"));
    let open = match &first.start.plan.load {
        LoadModel::Open(load) => Some(load),
        LoadModel::Closed(_) => None,
    };
    let chart = match is_throughput {
        true => chart::throughput(&timeline, window, flag, open),
        false => chart::latency(&timeline, window, flag),
    };
    let named = |chart: Chart| Chart {
        title: format!("{}: {}", chart.title, findings.about(run)),
        ..chart
    };
    chart.map(named).into_iter().collect()
}

fn curve(
    points: &[(f64, String)],
    axis: &str,
    title: Option<&str>,
    findings: &Findings,
) -> Vec<Chart> {
    let level = |(load, run): &(f64, String)| {
        let of = findings.measured.get(run)?;
        Some(Level {
            value: load.to_string(),
            number: Some(*load),
            figures: PointFigures::of(&of.group.summary.total),
            spread: None,
            used: Of { did: 1, all: 1 },
            is_valid: of.validity.is_valid(),
            speed_up: None,
            efficiency: None,
            broke: Of { did: 0, all: 0 },
        })
    };
    let levels: Vec<Level> = points.iter().filter_map(level).collect();
    let known = levels.iter().filter(|level| level.is_valid);
    let law: Vec<(f64, f64)> =
        known.filter_map(|level| Some((level.number?, level.figures.rps?))).collect();
    let fit = usl::fit(&law, findings.record.seed);
    let subtitle = match fit.is_ok() {
        true => {
            "All slices of a run together; the fitted law says how waiting for each other bends the line"
        }
        false => "All slices of a run together",
    };
    let against = axis.to_lowercase();
    let said = sweep::Said { label: axis, against: &against, of: title, subtitle, stem: "" };
    sweep::all(&Group { other: None, levels, fit, gain: None }, said)
}

fn of_bars(
    asked: &Asked,
    axis: &str,
    series: &[String],
    bars: &[(String, Vec<String>)],
    findings: &Findings,
) -> Option<Chart> {
    let group = |(name, values): &'_ (String, Vec<String>)| {
        let value = |expression: &String| {
            Some(grouped::Bar { value: findings.number(expression)?, interval: None })
        };
        (name.clone(), values.iter().map(value).collect::<Vec<_>>())
    };
    let all: Vec<(String, Vec<Option<grouped::Bar>>)> = bars.iter().map(group).collect();
    let groups: Vec<grouped::Group<'_>> =
        all.iter().map(|(name, bars)| grouped::Group { name, bars: bars.clone() }).collect();
    let names: Vec<&str> = series.iter().map(String::as_str).collect();
    let words = Words {
        title: asked.title.as_deref().unwrap_or("Side by side"),
        subtitle: "Figures of the runs of this study",
        axis,
        file_stem: "bars",
        flag: None,
    };
    grouped::grouped(words, &names, &groups)
}

fn components_of(
    asked: &Asked,
    sides: &[String; 2],
    components: &[(String, [String; 2])],
    findings: &Findings,
) -> Option<Chart> {
    let components: Vec<waterfall::Component> = components
        .iter()
        .map(|(name, ms)| waterfall::Component {
            name: name.clone(),
            ms: ms.each_ref().map(|expression| findings.number(expression)),
        })
        .collect();
    let words = Words {
        title: asked.title.as_deref().unwrap_or("Components"),
        subtitle: "One after the other, mean of each",
        axis: "Milliseconds",
        file_stem: "components",
        flag: None,
    };
    waterfall::waterfall(words, sides.each_ref().map(String::as_str), &components)
}
