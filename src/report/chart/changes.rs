//! Changes of several figures on one axis: each a point with its interval, over the band in which it
//! counts as unchanged.

use crate::analysis::compare::Quantity;
use crate::measure::metric::Better;
use crate::report::format;
use crate::report::model::Chart;
use crate::report::quantity::change;

use super::look::{LEGEND, PALE_INK, PAPER, SHADE, palette, thin};
use super::rows::{self, BELOW_AXIS, RIGHT, Words, place};
use super::scale::Scale;
use super::svg::{Font, Stroke, Svg, text_width};

const TOP: f64 = 92.0;
const ROW: f64 = 40.0;
const BAND: f64 = 28.0;
/// Half the size of a mark.
const MARK: f64 = 5.5;
const EDGE: Stroke = Stroke { colour: palette::VERMILLION, width: 2.0, dash: "3 2" };
/// The axis reaches as many of the widest margin at most: what lies beyond is an arrow at its end, and
/// its value stands beside it, so that one change of 900% does not make all others invisible.
const REACH: f64 = 8.0;

/// What a row says, and so how its mark looks: shapes differ besides colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Look {
    /// Worse for certain.
    Worse,
    /// Better for certain.
    Better,
    /// Within the band.
    Same,
    /// Not known.
    Open,
}

impl Look {
    const ALL: [(Look, &'static str); 4] = [
        (Look::Worse, "regressed"),
        (Look::Better, "improved"),
        (Look::Same, "unchanged or no worse"),
        (Look::Open, "inconclusive"),
    ];

    fn colour(self) -> &'static str {
        match self {
            Look::Worse => palette::VERMILLION,
            Look::Better => palette::BLUE,
            Look::Same => palette::GREEN,
            Look::Open => PALE_INK,
        }
    }
}

/// A figure's change. Shares: 0.1 is 10%, or of failures ten points.
#[derive(Debug, Clone)]
pub struct Row {
    /// Name of the figure.
    pub name: String,
    /// Which it is: says in which terms the change is told, and where worse is.
    pub quantity: Quantity,
    /// The change, and the interval that it lies in; `None` where it is not known.
    pub effect: Option<(f64, Option<(f64, f64)>)>,
    /// By how much it may get worse.
    pub margin: f64,
    /// How its mark looks.
    pub look: Look,
    /// The verdict in a word.
    pub word: &'static str,
}

impl Row {
    /// Its change and the ends of its interval.
    fn values(&self) -> impl Iterator<Item = f64> {
        let ends = self.effect.and_then(|(_, interval)| interval);
        let ends = ends.into_iter().flat_map(|(low, high)| [low, high]);
        self.effect.map(|(change, _)| change).into_iter().chain(ends)
    }

    /// The end of the band at which it is worse.
    fn worst(&self) -> f64 {
        match self.quantity.better() {
            Better::Lower => self.margin,
            Better::Higher => -self.margin,
        }
    }
}

/// One row for each figure. The axis is in percent; the changes of shares, as failures, are drawn on it
/// in percentage points. `None` without a row.
pub fn changes(words: Words<'_>, rows: &[Row]) -> Option<Chart> {
    let widest = rows.iter().map(|row| row.margin).reduce(f64::max)?;
    let limit = widest * REACH;
    let bands = rows.iter().flat_map(|row| [-row.margin, row.margin]);
    let seen = bands.chain(rows.iter().flat_map(Row::values));
    let percent = seen.map(|it| it.clamp(-limit, limit) * 100.0);
    let (low, high) =
        percent.fold((0.0, 0.0), |(low, high): (f64, f64), it| (low.min(it), high.max(it)));
    let x = Scale::with_zero(low, high, 9);
    let mut svg = words.begin();
    legend(&mut svg);
    let bottom = TOP + rows.len() as f64 * ROW;
    for (index, row) in rows.iter().enumerate() {
        band(&mut svg, x, TOP + (index as f64 + 0.5) * ROW, row);
    }
    words.axis(&mut svg, x, TOP, bottom);
    svg.line(&[(place(x, 0.0), TOP), (place(x, 0.0), bottom)], thin(PALE_INK));
    for (index, row) in rows.iter().enumerate() {
        let middle = TOP + (index as f64 + 0.5) * ROW;
        rows::name(&mut svg, middle, &row.name);
        edge(&mut svg, x, middle, row);
        draw(&mut svg, x, middle, row);
        say(&mut svg, middle, row);
    }
    Some(words.finish(svg, bottom + BELOW_AXIS, in_words(&words, rows)))
}

fn legend(svg: &mut Svg) {
    let (y, small) = (67.0, Font { size: 12.0, ..LEGEND });
    let mut x = 20.0;
    svg.rect((x, y - 7.0), (26.0, 14.0), SHADE.0, SHADE.1 * 2.0);
    svg.line(&[(x + 26.0, y - 7.0), (x + 26.0, y + 7.0)], EDGE);
    x += 36.0;
    let band = "margin; dashed where worse begins";
    svg.text((x, y + 4.0), band, small);
    x += text_width(band, small.size) + 14.0;
    for (look, name) in Look::ALL {
        mark(svg, (x, y), look);
        svg.text((x + 12.0, y + 4.0), name, small);
        x += 12.0 + text_width(name, small.size) + 16.0;
    }
}

fn band(svg: &mut Svg, x: Scale, middle: f64, row: &Row) {
    let [low, high] = [-row.margin, row.margin].map(|end| place(x, end * 100.0));
    svg.rect((low, middle - BAND / 2.0), (high - low, BAND), SHADE.0, SHADE.1 * 2.0);
}

/// Where worse begins, above the grid.
fn edge(svg: &mut Svg, x: Scale, middle: f64, row: &Row) {
    let worst = place(x, row.worst() * 100.0);
    svg.line(&[(worst, middle - BAND / 2.0), (worst, middle + BAND / 2.0)], EDGE);
}

/// The interval and the mark, or arrows where they lie beyond the axis.
fn draw(svg: &mut Svg, x: Scale, middle: f64, row: &Row) {
    let Some((change, interval)) = row.effect else { return };
    let at = |value: f64| place(x, value * 100.0);
    let stroke = Stroke { width: 2.2, ..thin(row.look.colour()) };
    if let Some((low, high)) = interval {
        svg.line(&[(at(low), middle), (at(high), middle)], stroke);
        for (end, outwards) in [(low, -1.0), (high, 1.0)] {
            let tip = at(end);
            let cap = match is_beyond(x, end) {
                false => [(tip, middle - 5.0), (tip, middle), (tip, middle + 5.0)],
                true => {
                    let back = tip - outwards * 7.0;
                    [(back, middle - 5.0), (tip, middle), (back, middle + 5.0)]
                }
            };
            svg.line(&cap, stroke);
        }
    }
    if !is_beyond(x, change) {
        mark(svg, (at(change), middle), row.look);
    }
}

fn is_beyond(x: Scale, value: f64) -> bool {
    match x {
        Scale::Linear { min, max } => !(min..=max).contains(&(value * 100.0)),
        Scale::Log { .. } | Scale::Tail { .. } => false,
    }
}

/// A square, a diamond, a dot, a ring: told apart without colours too.
fn mark(svg: &mut Svg, (x, y): (f64, f64), look: Look) {
    let colour = look.colour();
    let whole = Stroke { width: 2.2, ..thin(colour) };
    match look {
        Look::Worse => {
            svg.rect((x - MARK, y - MARK), (2.0 * MARK, 2.0 * MARK), colour, 1.0);
        }
        Look::Better => {
            // Rings within one another, and what is left in the middle.
            for far in [MARK + 1.5, (MARK + 1.5) / 2.0] {
                let ends = [(x, y - far), (x + far, y), (x, y + far), (x - far, y), (x, y - far)];
                svg.line(&ends, Stroke { width: 3.4, ..whole });
            }
            svg.line(&[(x, y)], whole);
        }
        Look::Same => svg.line(&[(x, y)], Stroke { width: MARK, ..whole }),
        Look::Open => {
            svg.line(&[(x, y)], Stroke { width: MARK, ..whole });
            svg.line(&[(x, y)], Stroke { width: MARK - 2.6, ..thin(PAPER) });
        }
    }
}

/// The change and the verdict, at the right.
fn say(svg: &mut Svg, middle: f64, row: &Row) {
    let (x, small) = (RIGHT + 12.0, Font { size: 12.0, ..LEGEND });
    let said = shown(row);
    svg.text((x, middle - 2.0), &said, Font { bold: row.look == Look::Worse, ..small });
    svg.text((x, middle + 13.0), row.word, Font { colour: PALE_INK, ..small });
}

fn shown(row: &Row) -> String {
    let known = row.effect.map(|(amount, _)| change(row.quantity, amount));
    known.unwrap_or_else(|| format::NOT_MEASURED.to_owned())
}

fn in_words(words: &Words<'_>, rows: &[Row]) -> String {
    let said = rows.iter().map(|row| {
        let interval = row.effect.and_then(|(_, interval)| interval);
        let interval = interval.map_or(String::new(), |(low, high)| {
            format!(" ({} to {})", change(row.quantity, low), change(row.quantity, high))
        });
        format!("{}: {}{interval}, {}", row.name, shown(row), row.word)
    });
    format!("{}. {}.", words.axis, said.collect::<Vec<_>>().join("; "))
}
