//! How times are distributed.

use crate::measure::distribution::Distribution;
use crate::measure::summary::{Latency, ms};
use crate::report::format;
use crate::report::model::Chart;

use super::look::{INK, palette};
use super::plot::{Marker, Plot, Point, Shape};
use super::scale::Scale;
use super::series::{LOG_FROM_RATIO, MAIN, P50, P95, P99, chart, panel, scale_of, series};
use super::svg::Stroke;

/// How the response times of successes are distributed, with p50, p95 and p99 marked. `None` where
/// there are none.
pub fn distribution(times: &Distribution, flag: Option<&str>) -> Option<Chart> {
    let latency = Latency::of(times)?;
    let (bars, x, is_log) = histogram(times, &latency);
    let bars = vec![series(
        "successful requests",
        Stroke { colour: palette::BLUE, width: 2.0, dash: "" },
        Shape::Bars,
        bars,
    )];
    let scale = scale_of(&bars, 1.0, MAIN);
    let mut panel = panel("Share of requests (%)", MAIN, scale, bars);
    let marks =
        [("p50", latency.p50_ms, P50), ("p95", latency.p95_ms, P95), ("p99", latency.p99_ms, P99)];
    panel.markers = marks
        .into_iter()
        .map(|(name, x, stroke)| Marker {
            x,
            label: format!("{name} {} ms", format::millis(x)),
            stroke: Stroke { colour: INK, ..stroke },
        })
        .collect();
    let plot = Plot {
        title: "Distribution of response times".to_owned(),
        subtitle: format!(
            "{} of the measured part",
            format::counted(latency.count, "successful request", "successful requests")
        ),
        flag: None,
        x_label: format!("Response time (ms{})", if is_log { ", log scale" } else { "" }),
        x,
        measured: None,
        panels: vec![panel],
    };
    let alt = format!(
        "Histogram of {}, from {} to {} ms; p50 {} ms, p95 {} ms, p99 {} ms.",
        format::counted(latency.count, "response time", "response times"),
        format::millis(latency.min_ms),
        format::millis(latency.max_ms),
        format::millis(latency.p50_ms),
        format::millis(latency.p95_ms),
        format::millis(latency.p99_ms),
    );
    Some(chart(plot, "distribution", flag, alt))
}

/// Bars of equal width on a linear axis or, where values span much, on a logarithmic one. The
/// number of bars follows Rice's rule, 2 n^(1/3); none is narrower than the histogram's buckets
/// can fill evenly.
fn histogram(times: &Distribution, latency: &Latency) -> (Vec<Point>, Scale, bool) {
    let (min, max) = (latency.min_ms.max(1e-4), latency.max_ms.max(1e-4));
    let wanted = (2.0 * (latency.count as f64).cbrt()).ceil().clamp(6.0, 60.0);
    let is_log = max / min > LOG_FROM_RATIO;
    let forward = |value: f64| if is_log { value.ln() } else { value };
    let back = |place: f64| if is_log { place.exp() } else { place };
    let narrowest = if is_log { 0.01 } else { max * 0.01 };
    let width = ((forward(max) - forward(min)) / wanted).max(narrowest);
    let edge = |index: f64| back(forward(min) + index * width);
    let bars = (((forward(max) - forward(min)) / width).ceil() as usize).max(1);
    let mut counts = vec![0u64; bars];
    for (upper, count) in times.buckets() {
        let value = ms(upper).clamp(min, max);
        let index = ((forward(value) - forward(min)) / width) as usize;
        counts[index.min(bars - 1)] += count;
    }
    let share = |count: u64| count as f64 / latency.count as f64 * 100.0;
    let points = counts.iter().enumerate().map(|(index, count)| {
        let index = index as f64;
        Point { from: edge(index), to: edge(index + 1.0), y: Some(share(*count)) }
    });
    let (begin, end) = (edge(-1.0), edge(bars as f64 + 1.0));
    let scale = match is_log {
        true => Scale::Log { min: begin, max: end },
        false => Scale::Linear { min: begin.max(0.0), max: end },
    };
    (points.collect(), scale, is_log)
}
