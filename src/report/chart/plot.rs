//! A plot: panels above one another that share a horizontal axis.

use super::look::{AXIS, FLAG, GRID, LEGEND, PALE_INK, PAPER, SHADE, SUBTITLE, TICK, TITLE, thin};
use super::scale::Scale;
use super::svg::{Font, Stroke, Svg, text_width};

const WIDTH: f64 = 860.0;
const LEFT: f64 = 78.0;
const RIGHT: f64 = WIDTH - 22.0;
const FIRST_LEGEND: f64 = 72.5;
const LEGEND_LINE: f64 = 20.0;
const BELOW_LEGEND: f64 = 19.5;
const BETWEEN_PANELS: f64 = 26.0;
const BELOW_PANELS: f64 = 52.0;

/// A plot.
#[derive(Debug, Clone)]
pub struct Plot {
    /// Title.
    pub title: String,
    /// What one point is.
    pub subtitle: String,
    /// A warning in the corner.
    pub flag: Option<String>,
    /// Name and unit of the horizontal axis.
    pub x_label: String,
    /// The horizontal axis.
    pub x: Scale,
    /// The measured part; what lies outside is shaded.
    pub measured: Option<(f64, f64)>,
    /// Panels, from the top.
    pub panels: Vec<Panel>,
}

/// A vertical axis and what is drawn against it.
#[derive(Debug, Clone)]
pub struct Panel {
    /// Name and unit of the vertical axis.
    pub label: String,
    /// Height.
    pub height: f64,
    /// The vertical axis.
    pub y: Scale,
    /// Series, the last on top.
    pub series: Vec<Series>,
    /// Values of the horizontal axis that stand out.
    pub markers: Vec<Marker>,
}

/// Points that belong together.
#[derive(Debug, Clone)]
pub struct Series {
    /// Name in the legend; the same name in two panels is listed once.
    pub name: String,
    /// How it is drawn.
    pub stroke: Stroke,
    /// What is drawn.
    pub shape: Shape,
    /// Points in rising order.
    pub points: Vec<Point>,
}

/// How the points of a series are joined.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// A line through the middles.
    Line,
    /// Level from begin to end of each point.
    Steps,
    /// A bar from begin to end of each point.
    Bars,
    /// A dot at the middle of each point.
    Dots,
}

/// A value over a stretch of the horizontal axis.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Point {
    /// Begin.
    pub from: f64,
    /// End.
    pub to: f64,
    /// Value; `None` where there is none, and the line has a gap.
    pub y: Option<f64>,
}

/// A value of the horizontal axis that stands out.
#[derive(Debug, Clone)]
pub struct Marker {
    /// Value.
    pub x: f64,
    /// Label.
    pub label: String,
    /// How it is drawn.
    pub stroke: Stroke,
}

/// Where a panel lies.
#[derive(Debug, Clone, Copy)]
struct Frame {
    top: f64,
    bottom: f64,
    x: Scale,
    y: Scale,
}

impl Frame {
    fn x(&self, value: f64) -> f64 {
        position(self.x, value)
    }

    fn y(&self, value: f64) -> f64 {
        self.bottom - self.y.position(value) * (self.bottom - self.top)
    }
}

/// Position of a value of the horizontal axis.
fn position(x: Scale, value: f64) -> f64 {
    LEFT + x.position(value) * (RIGHT - LEFT)
}

impl Plot {
    /// The plot as an SVG document; `description` is for who cannot see it.
    pub fn draw(&self, description: &str) -> String {
        let mut svg = Svg::new(WIDTH);
        svg.text((20.0, 30.0), &self.title, TITLE);
        svg.text((20.0, 50.0), &self.subtitle, SUBTITLE);
        if let Some(flag) = &self.flag {
            svg.text((RIGHT, 30.0), flag, FLAG);
        }
        let mut top = self.draw_legend(&mut svg) + BELOW_LEGEND;
        for (index, panel) in self.panels.iter().enumerate() {
            let frame = Frame { top, bottom: top + panel.height, x: self.x, y: panel.y };
            let is_last = index + 1 == self.panels.len();
            self.draw_ground(&mut svg, frame, is_last);
            panel.draw(&mut svg, frame);
            if index == 0 {
                self.draw_phases(&mut svg, frame);
            }
            top = frame.bottom + BETWEEN_PANELS;
        }
        let bottom = top - BETWEEN_PANELS;
        svg.text(((LEFT + RIGHT) / 2.0, bottom + 40.0), &self.x_label, AXIS);
        svg.finish(bottom + BELOW_PANELS, &self.title, description)
    }

    /// Each name once, in as many lines as they need; returns where the last of them ends.
    fn draw_legend(&self, svg: &mut Svg) -> f64 {
        let mut seen: Vec<&str> = Vec::new();
        let (mut x, mut y) = (20.0, FIRST_LEGEND);
        let mut place = |name: &str| {
            let width = 28.0 + text_width(name, LEGEND.size) + 22.0;
            if x > 20.0 && x + width > RIGHT + 22.0 {
                (x, y) = (20.0, y + LEGEND_LINE);
            }
            x += width;
            (x - width, y)
        };
        for series in self.panels.iter().flat_map(|panel| &panel.series) {
            if seen.contains(&series.name.as_str()) {
                continue;
            }
            seen.push(&series.name);
            let (x, y) = place(&series.name);
            match series.shape {
                Shape::Bars => svg.rect((x, y - 10.5), (22.0, 11.0), series.stroke.colour, 0.85),
                Shape::Dots => svg.line(&[(x + 11.0, y - 4.5)], series.stroke),
                _ => svg.line(&[(x, y - 4.5), (x + 22.0, y - 4.5)], series.stroke),
            }
            svg.text((x + 28.0, y), &series.name, LEGEND);
        }
        if !self.unmeasured().is_empty() {
            let name = "not in the measured part";
            let (x, y) = place(name);
            svg.rect((x, y - 10.5), (22.0, 11.0), SHADE.0, SHADE.1 * 1.5);
            svg.text((x + 28.0, y), name, LEGEND);
        }
        y
    }

    /// Shade, vertical grid and labels of the horizontal axis.
    fn draw_ground(&self, svg: &mut Svg, frame: Frame, is_last: bool) {
        for (from, to) in self.unmeasured() {
            svg.rect((from, frame.top), (to - from, frame.bottom - frame.top), SHADE.0, SHADE.1);
        }
        for tick in self.x.ticks(9) {
            let x = frame.x(tick.value);
            svg.line(&[(x, frame.top), (x, frame.bottom)], thin(GRID));
            if is_last {
                svg.line(&[(x, frame.bottom), (x, frame.bottom + 4.0)], thin(PALE_INK));
                svg.text((x, frame.bottom + 19.0), &tick.label, Font { anchor: "middle", ..TICK });
            }
        }
    }

    /// Positions of what lies before and after the measured part.
    fn unmeasured(&self) -> Vec<(f64, f64)> {
        let Some((start, end)) = self.measured else { return Vec::new() };
        let at = |x| position(self.x, x);
        let parts = [(LEFT, at(start)), (at(end), RIGHT)];
        parts.into_iter().filter(|(from, to)| to - from > 1.0).collect()
    }

    fn draw_phases(&self, svg: &mut Svg, frame: Frame) {
        for (from, to) in self.unmeasured() {
            let label = if from > LEFT { "cool-down" } else { "warm-up" };
            if to - from > text_width(label, TICK.size) {
                let font = Font { anchor: "middle", ..TICK };
                svg.text(((from + to) / 2.0, frame.top + 15.0), label, font);
            }
        }
    }
}

impl Panel {
    fn draw(&self, svg: &mut Svg, frame: Frame) {
        for tick in frame.y.ticks(ticks_of(self.height)) {
            let y = frame.y(tick.value);
            svg.line(&[(LEFT, y), (RIGHT, y)], thin(GRID));
            svg.text((LEFT - 8.0, y + 4.0), &tick.label, TICK);
        }
        for series in &self.series {
            series.draw(svg, frame);
        }
        let corner = (LEFT, frame.bottom);
        svg.line(&[(LEFT, frame.top), corner, (RIGHT, frame.bottom)], thin(PALE_INK));
        svg.text_upwards((24.0, (frame.top + frame.bottom) / 2.0), &self.label, AXIS);
        for marker in &self.markers {
            let x = frame.x(marker.x);
            svg.line(&[(x, frame.top), (x, frame.bottom)], marker.stroke);
        }
        for (row, marker) in self.markers.iter().enumerate() {
            marker.draw_label(svg, frame, row);
        }
    }
}

impl Marker {
    /// Beside the marker, on the side where there is room; lower for each row.
    fn draw_label(&self, svg: &mut Svg, frame: Frame, row: usize) {
        let x = frame.x(self.x);
        let width = text_width(&self.label, LEGEND.size);
        let y = frame.top + 15.0 + 19.0 * row as f64;
        let left = if x + width + 8.0 > RIGHT { x - 7.0 - width } else { x + 7.0 };
        svg.rect((left - 3.0, y - 12.5), (width + 2.0, 17.0), PAPER, 1.0);
        svg.text((left, y), &self.label, LEGEND);
    }
}

impl Series {
    fn draw(&self, svg: &mut Svg, frame: Frame) {
        for run in self.points.split(|point| point.y.is_none()) {
            let values = run.iter().filter_map(|point| Some((point, point.y?)));
            match self.shape {
                Shape::Line => {
                    let through: Vec<_> = values
                        .map(|(point, y)| (frame.x((point.from + point.to) / 2.0), frame.y(y)))
                        .collect();
                    if !through.is_empty() {
                        svg.line(&through, self.stroke);
                    }
                }
                Shape::Steps => {
                    let along: Vec<_> = values
                        .flat_map(|(point, y)| {
                            [point.from, point.to].map(|x| (frame.x(x), frame.y(y)))
                        })
                        .collect();
                    if !along.is_empty() {
                        svg.line(&along, self.stroke);
                    }
                }
                Shape::Dots => values.for_each(|(point, y)| {
                    svg.line(&[(frame.x((point.from + point.to) / 2.0), frame.y(y))], self.stroke);
                }),
                Shape::Bars => values.filter(|(_, y)| *y > 0.0).for_each(|(point, y)| {
                    let (left, right) = (frame.x(point.from), frame.x(point.to));
                    let gap = if right - left > 4.0 { 1.0 } else { 0.0 };
                    let height = (frame.bottom - frame.y(y)).max(1.0);
                    let size = ((right - left - gap).max(1.0), height);
                    svg.rect((left, frame.bottom - height), size, self.stroke.colour, 0.85);
                }),
            }
        }
    }
}

/// How many labels suit a vertical axis of this height.
pub fn ticks_of(height: f64) -> usize {
    ((height / 42.0) as usize).max(2)
}
