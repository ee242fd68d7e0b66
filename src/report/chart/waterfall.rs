//! Where the time of a request goes, component by component, before and after.

use crate::report::format;
use crate::report::model::Chart;

use super::look::{GRID, LEGEND, PALE_INK, PAPER, SHADE, palette, thin};
use super::rows::{self, BELOW_AXIS, LEFT, RIGHT, Words, place};
use super::scale::Scale;
use super::svg::{Font, Svg};

const TOP: f64 = 72.0;
const BAR: f64 = 34.0;
const BETWEEN_BARS: f64 = 26.0;
const LINE: f64 = 21.0;

/// A part of the time of a request.
#[derive(Debug, Clone, PartialEq)]
pub struct Component {
    /// Name.
    pub name: String,
    /// Milliseconds on each side; `None` where it was not measured there.
    pub ms: [Option<f64>; 2],
}

/// A bar for each of two `sides` (`before`, `after`), in which each component begins where the one
/// before it ends; below, every component with its milliseconds. Components are to be in the order in
/// which they run, without overlap. More than the palette has colours for are drawn as one. `None`
/// where nothing was measured.
pub fn waterfall(words: Words<'_>, sides: [&str; 2], components: &[Component]) -> Option<Chart> {
    let shown = with_rest(components);
    let totals = [0, 1].map(|side| total(&shown, side));
    let longest = totals.iter().filter_map(|total| total.ms).reduce(f64::max)?;
    let x = Scale::from_zero(longest, 7);
    let mut svg = words.begin();
    let bottom = TOP + 2.0 * BAR + BETWEEN_BARS + 10.0;
    words.axis(&mut svg, x, TOP - 8.0, bottom);
    let ends = [0, 1].map(|side| {
        let top = TOP + side as f64 * (BAR + BETWEEN_BARS);
        rows::name(&mut svg, top + BAR / 2.0, sides[side]);
        let ends = stack(&mut svg, x, top, &shown, side);
        let behind = ends.last().copied().unwrap_or(LEFT).min(RIGHT);
        svg.text((behind + 8.0, top + BAR / 2.0 + 4.5), &totals[side].in_words(), LEGEND);
        ends
    });
    for (component, (before, after)) in shown.iter().zip(ends[0].iter().zip(&ends[1])) {
        let (from, to) = (TOP + BAR, TOP + BAR + BETWEEN_BARS);
        // A line to where nothing was measured would show a component that vanished.
        if component.ms.iter().all(Option::is_some) {
            svg.line(&[(*before, from), (*after, to)], thin(PALE_INK));
        }
    }
    let list = bottom + BELOW_AXIS + 22.0;
    legend(&mut svg, list, sides, &shown);
    let height = list + (shown.len() as f64 + 1.0) * LINE;
    Some(words.finish(svg, height, in_words(sides, &shown, &totals)))
}

/// As many components as there are colours; those beyond are summed up.
fn with_rest(components: &[Component]) -> Vec<Component> {
    if components.len() <= palette::ALL.len() {
        return components.to_vec();
    }
    let (named, rest) = components.split_at(palette::ALL.len());
    let ms = [0, 1].map(|side| rest.iter().map(|component| component.ms[side]).sum());
    let name = format!("{} others", rest.len());
    named.iter().cloned().chain([Component { name, ms }]).collect()
}

fn colour(place: usize) -> &'static str {
    palette::ALL.get(place).copied().unwrap_or(SHADE.0)
}

/// The sum of what was measured.
#[derive(Debug, Clone, Copy)]
struct Total {
    ms: Option<f64>,
    is_whole: bool,
}

impl Total {
    fn in_words(&self) -> String {
        match self.ms {
            Some(ms) if self.is_whole => format!("{} ms", format::millis(ms)),
            Some(ms) => format!("at least {} ms", format::millis(ms)),
            None => format::NOT_MEASURED.to_owned(),
        }
    }
}

fn total(components: &[Component], side: usize) -> Total {
    let known: Vec<f64> = components.iter().filter_map(|it| it.ms[side]).collect();
    let ms = (!known.is_empty()).then(|| known.iter().sum());
    Total { ms, is_whole: known.len() == components.len() }
}

/// Draws the components of a side behind one another, and says where each ends.
fn stack(svg: &mut Svg, x: Scale, top: f64, components: &[Component], side: usize) -> Vec<f64> {
    let mut until = 0.0;
    let mut ends = Vec::new();
    for (index, component) in components.iter().enumerate() {
        let from = place(x, until);
        until += component.ms[side].unwrap_or(0.0);
        let to = place(x, until);
        if to > from {
            svg.rect((from, top), (to - from, BAR), colour(index), 1.0);
            svg.line(&[(to, top), (to, top + BAR)], thin(PAPER));
        }
        ends.push(to);
    }
    ends
}

/// Where the columns of the list end.
const COLUMNS: [f64; 2] = [470.0, 610.0];

fn legend(svg: &mut Svg, top: f64, sides: [&str; 2], components: &[Component]) {
    let right = Font { anchor: "end", ..LEGEND };
    let heading = Font { colour: PALE_INK, ..right };
    for (side, column) in sides.iter().zip(COLUMNS) {
        svg.text((column, top), &format!("{} (ms)", rows::cut(side, 90.0, 13.0)), heading);
    }
    for (index, component) in components.iter().enumerate() {
        let y = top + (index as f64 + 1.0) * LINE;
        svg.line(&[(20.0, y - 15.0), (COLUMNS[1], y - 15.0)], thin(GRID));
        svg.rect((20.0, y - 10.0), (22.0, 11.0), colour(index), 1.0);
        svg.text((50.0, y), &rows::cut(&component.name, 310.0, LEGEND.size), LEGEND);
        for (ms, column) in component.ms.iter().zip(COLUMNS) {
            svg.text((column, y), &milliseconds(*ms), right);
        }
    }
}

fn milliseconds(ms: Option<f64>) -> String {
    ms.map_or(format::NOT_MEASURED.to_owned(), format::millis)
}

fn in_words(sides: [&str; 2], components: &[Component], totals: &[Total; 2]) -> String {
    let said = components.iter().map(|component| {
        let [before, after] = component.ms.map(milliseconds);
        format!("{} {before} and {after}", component.name)
    });
    format!(
        "Stacked bars of milliseconds, {} and {}: {}; in all {} and {}.",
        sides[0],
        sides[1],
        said.collect::<Vec<_>>().join(", "),
        totals[0].in_words(),
        totals[1].in_words()
    )
}
