//! Memory of several runs over time.

use crate::report::format;
use crate::report::model::Chart;

use super::look::series_stroke;
use super::plot::{Plot, Series, Shape};
use super::scale::Scale;
use super::series::{MAIN, TimeAxis, chart, panel, scale_of, series};

/// Resident memory of one process tree.
#[derive(Debug, Clone, Copy)]
pub struct Resident<'a> {
    /// Name in the legend: `after`.
    pub name: &'a str,
    /// Seconds since the start of its run, rising, and bytes.
    pub looks: &'a [(f64, u64)],
}

/// Resident memory over the time since the start of each one's run. `None` where there are no looks.
pub fn memory(file_stem: &str, all: &[Resident<'_>], flag: Option<&str>) -> Option<Chart> {
    let looks = || all.iter().flat_map(|of| of.looks);
    let end = looks().map(|(second, _)| *second).reduce(f64::max)?;
    let most = looks().map(|(_, bytes)| *bytes).max()?;
    let axis = TimeAxis::up_to(end);
    let (unit, size) = match most {
        bytes if bytes >= 4 << 30 => ("GiB", f64::from(1 << 30)),
        _ => ("MiB", f64::from(1 << 20)),
    };
    let lines: Vec<Series> =
        all.iter()
            .filter(|of| !of.looks.is_empty())
            .enumerate()
            .map(|(place, of)| {
                let points = of.looks.iter().map(|(second, bytes)| {
                    axis.point(*second, *second, Some(*bytes as f64 / size))
                });
                series(of.name, series_stroke(place), Shape::Line, points.collect())
            })
            .collect();
    let said: Vec<String> = all
        .iter()
        .map(|of| match (of.looks.first(), of.looks.last()) {
            (Some((_, first)), Some((_, last))) => format!(
                "{}: {} at first, {} at last",
                of.name,
                format::bytes(*first),
                format::bytes(*last)
            ),
            _ => format!("{}: {}", of.name, format::NOT_MEASURED),
        })
        .collect();
    let plot = Plot {
        title: "Memory over time".to_owned(),
        subtitle: "Resident memory of the target's whole process tree".to_owned(),
        flag: None,
        x_label: axis.label(),
        x: Scale::Linear { min: 0.0, max: axis.end.max(f64::MIN_POSITIVE) },
        measured: None,
        panels: vec![panel(&format!("Memory ({unit})"), MAIN, scale_of(&lines, 1.0, MAIN), lines)],
    };
    let alt = format!("Lines of resident memory. {}.", said.join("; "));
    Some(chart(plot, file_stem, flag, alt))
}
