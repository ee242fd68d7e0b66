//! Several distributions beside one another, percentile by percentile.

use crate::measure::distribution::Distribution;
use crate::measure::summary::ms;
use crate::report::format;
use crate::report::model::Chart;

use super::look::series_stroke;
use super::plot::{Plot, Point, Series, Shape};
use super::scale::Scale;
use super::series::{LOG_FROM_RATIO, MAIN, chart, panel, scale_of, series};

/// The axis reaches at least this far, so that few values are not drawn as if they were many.
const AT_LEAST: f64 = 0.95;
/// Steps narrower than this share of the axis cannot be told apart.
const NARROWEST: f64 = 1.0 / 800.0;

/// A named distribution.
#[derive(Debug, Clone, Copy)]
pub struct Named<'a> {
    /// Name in the legend: `before`.
    pub name: &'a str,
    /// Times.
    pub times: &'a Distribution,
}

/// How long the fastest share of each of `all` took at most, in milliseconds, over that share; the axis
/// gets wider towards the slowest (equal distances for a tenth of the rest each), as
/// `HdrHistogram`'s own plots. A line ends at `1 - 1/n` of its n values: beyond, nothing is known.
/// `what` is measured, as `Response time`. `None` where no distribution has two values.
pub fn percentiles(
    what: &str,
    file_stem: &str,
    all: &[Named<'_>],
    flag: Option<&str>,
) -> Option<Chart> {
    let known: Vec<&Named<'_>> = all.iter().filter(|of| of.times.count() > 1).collect();
    let until = known.iter().map(|of| last_known(of.times)).fold(AT_LEAST, f64::max);
    let x = Scale::Tail { max: until };
    let lines: Vec<Series> = known
        .iter()
        .enumerate()
        .map(|(place, of)| series(of.name, series_stroke(place), Shape::Steps, steps(of.times, x)))
        .collect();
    let values = || lines.iter().flat_map(|line| &line.points).filter_map(|point| point.y);
    let (lowest, highest) = (values().reduce(f64::min)?, values().reduce(f64::max)?);
    let is_log = lowest > 0.0 && highest / lowest > LOG_FROM_RATIO;
    let (unit, y) = match is_log {
        true => ("ms, log scale", Scale::Log { min: lowest / 1.3, max: highest * 1.3 }),
        false => ("ms", scale_of(&lines, 0.0, MAIN)),
    };
    let counts: Vec<String> = all
        .iter()
        .map(|of| format!("{} {}", of.name, format::counted(of.times.count(), "value", "values")))
        .collect();
    let said: Vec<String> = known.iter().filter_map(|of| in_words(of)).collect();
    let alt = format!("Lines of {} by percentile. {}.", what.to_lowercase(), said.join("; "));
    let plot = Plot {
        title: format!("{what} by percentile"),
        subtitle: format!("Lower is faster; {}", counts.join(", ")),
        flag: None,
        x_label: "Percentile (%), wider towards the slowest".to_owned(),
        x,
        measured: None,
        panels: vec![panel(&format!("{what} ({unit})"), MAIN, y, lines)],
    };
    Some(chart(plot, file_stem, flag, alt))
}

/// The largest share of which something is known.
fn last_known(times: &Distribution) -> f64 {
    1.0 - 1.0 / times.count() as f64
}

fn steps(times: &Distribution, x: Scale) -> Vec<Point> {
    let (all, until) = (times.count() as f64, last_known(times));
    let mut points: Vec<Point> = Vec::new();
    let mut below = 0;
    for (upper, count) in times.buckets() {
        let from = (below as f64 / all).min(until);
        below += count;
        let to = (below as f64 / all).min(until);
        let point = Point { from, to, y: Some(ms(upper)) };
        match points.last_mut() {
            Some(last) if x.position(to) - x.position(last.from) < NARROWEST && to < until => {
                (last.to, last.y) = (to, point.y);
            }
            _ => points.push(point),
        }
    }
    points
}

fn in_words(of: &Named<'_>) -> Option<String> {
    let at = |q: f64| Some(format::millis(ms(of.times.quantile(q)?)));
    Some(format!("{}: p50 {} ms, p95 {} ms, p99 {} ms", of.name, at(0.5)?, at(0.95)?, at(0.99)?))
}
