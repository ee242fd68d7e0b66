//! The charts of a sweep: throughput and latency against the load.

use crate::analysis::capacity::{Group, Level};
use crate::report::format;
use crate::report::model::Chart;

use super::look::palette;
use super::plot::{Plot, Point, Series, Shape};
use super::scale::Scale;
use super::series::{LOG_FROM_RATIO, MAIN, P50, P95, P99, chart, panel, scale_of, series};
use super::svg::Stroke;

/// Points of a drawn curve.
const CURVE: usize = 120;

/// What the charts of a group say besides its figures.
#[derive(Debug, Clone, Copy)]
pub struct Said<'a> {
    /// Name of the axis.
    pub label: &'a str,
    /// The same in a title, as `"load"`.
    pub against: &'a str,
    /// Name of the group.
    pub of: Option<&'a str>,
    /// What the figures are.
    pub subtitle: &'a str,
    /// What the names of the files end with.
    pub stem: &'a str,
}

/// The charts of a group whose values are numbers.
pub fn all(group: &Group, said: Said<'_>) -> Vec<Chart> {
    let levels: Vec<(f64, &Level)> = group
        .levels
        .iter()
        .filter(|level| level.is_valid)
        .filter_map(|level| Some((level.number?, level)))
        .collect();
    if levels.len() < 2 || levels.len() < group.levels.iter().filter(|l| l.is_valid).count() {
        return Vec::new();
    }
    let page = Page { levels, said };
    page.throughput(group).into_iter().chain(page.latency()).collect()
}

struct Page<'a> {
    levels: Vec<(f64, &'a Level)>,
    said: Said<'a>,
}

fn at(x: f64, y: Option<f64>) -> Point {
    Point { from: x, to: x, y }
}

impl Page<'_> {
    fn most(&self) -> f64 {
        self.levels.iter().map(|(x, _)| *x).fold(0.0, f64::max)
    }

    fn plot(&self, what: &str) -> Plot {
        let title = format!("{what} against {}", self.said.against);
        Plot {
            title: match self.said.of {
                Some(of) => format!("{title}, {of}"),
                None => title,
            },
            subtitle: self.said.subtitle.to_owned(),
            flag: None,
            x_label: self.said.label.to_owned(),
            x: Scale::from_zero(self.most() * 1.02, 9),
            measured: None,
            panels: Vec::new(),
        }
    }

    /// Measured points, the fitted law, and linear growth from the first point.
    fn throughput(&self, group: &Group) -> Option<Chart> {
        let measured: Vec<Point> =
            self.levels.iter().map(|(x, level)| at(*x, level.figures.rps)).collect();
        let highest = measured.iter().filter_map(|point| point.y).reduce(f64::max)?;
        let (first, base) = self.levels.iter().find_map(|(x, l)| Some((*x, l.figures.rps?)))?;
        let most = self.most();
        let dots = series(
            "measured",
            Stroke { colour: palette::BLUE, width: 3.4, dash: "" },
            Shape::Dots,
            measured,
        );
        let mut all: Vec<Series> = Vec::new();
        let ceiling = scale_of(std::slice::from_ref(&dots), 0.0, MAIN);
        let Scale::Linear { max: top, .. } = ceiling else { return None };
        // The ideal leaves the chart at its upper edge.
        let until = most.min(top * first / base);
        let ideal = [first, until].map(|x| at(x, Some(base * x / first)));
        if until > first {
            all.push(series(
                "linear from the first point",
                Stroke { colour: palette::GREEN, width: 1.6, dash: "2 4" },
                Shape::Line,
                ideal.to_vec(),
            ));
        }
        if let Ok(fit) = &group.fit {
            let x = |i: usize| 1.0 + (most - 1.0) * i as f64 / (CURVE - 1) as f64;
            let curve = (0..CURVE).map(|i| at(x(i), Some(fit.law.throughput(x(i)))));
            all.push(series(
                "Universal Scalability Law",
                Stroke { colour: palette::ORANGE, width: 2.0, dash: "7 3" },
                Shape::Line,
                curve.collect(),
            ));
        }
        all.push(dots);
        let mut plot = self.plot("Throughput");
        plot.panels.push(panel("Requests per second", MAIN, ceiling, all));
        let (x, _) = self.levels.iter().find(|(_, l)| l.figures.rps == Some(highest))?;
        let alt = format!(
            "Dots of requests a second at {}; the most, {}, at {}.",
            format::counted(self.levels.len() as u64, "load", "loads"),
            format::rate(highest),
            format::rate(*x),
        );
        Some(chart(plot, &format!("throughput-by-load{}", self.said.stem), None, alt))
    }

    /// p50, p95 and p99 against the load.
    fn latency(&self) -> Option<Chart> {
        type OfLevel = fn(&Level) -> Option<f64>;
        let line = |name, stroke, of: OfLevel| {
            let points = self.levels.iter().map(|(x, level)| at(*x, of(level)));
            series(name, stroke, Shape::Line, points.collect())
        };
        let lines = vec![
            line("p99", P99, |level| level.figures.p99_ms),
            line("p95", P95, |level| level.figures.p95_ms),
            line("p50", P50, |level| level.figures.p50_ms),
        ];
        let known = || lines.iter().flat_map(|line| &line.points).filter_map(|point| point.y);
        let (lowest, highest) = (known().reduce(f64::min)?, known().reduce(f64::max)?);
        let is_log = lowest > 0.0 && highest / lowest > LOG_FROM_RATIO;
        let (label, scale) = match is_log {
            true => (
                "Response time (ms, log scale)",
                Scale::Log { min: lowest / 1.3, max: highest * 1.3 },
            ),
            false => ("Response time (ms)", scale_of(&lines, 0.0, MAIN)),
        };
        let mut plot = self.plot("Response time");
        plot.panels.push(panel(label, MAIN, scale, lines));
        let alt = format!(
            "Lines of p50, p95 and p99 response time at {}. p50 is at least {} ms, p99 at most {} ms.",
            format::counted(self.levels.len() as u64, "load", "loads"),
            format::millis(lowest),
            format::millis(highest),
        );
        Some(chart(plot, &format!("latency-by-load{}", self.said.stem), None, alt))
    }
}
