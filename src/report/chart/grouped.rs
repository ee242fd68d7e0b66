//! Bars in groups: what was expected beside what was measured.

use crate::report::format;
use crate::report::model::Chart;

use super::look::{LEGEND, PALE_INK, palette, thin};
use super::rows::{self, BELOW_AXIS, RIGHT, Words, place};
use super::scale::Scale;
use super::svg::{Font, Stroke, Svg, text_width};

const TOP: f64 = 92.0;
const BAR: f64 = 15.0;
const BETWEEN_BARS: f64 = 2.0;
const BETWEEN_GROUPS: f64 = 16.0;
const COLOURS: [&str; 4] = [palette::ORANGE, palette::BLUE, palette::GREEN, palette::PURPLE];

/// Bars that belong together.
#[derive(Debug, Clone)]
pub struct Group<'a> {
    /// Name of the row.
    pub name: &'a str,
    /// One bar for each series; `None` where there is no figure.
    pub bars: Vec<Option<Bar>>,
}

/// A figure, in the unit of the axis.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bar {
    /// The figure.
    pub value: f64,
    /// The interval it lies in, where one is known.
    pub interval: Option<(f64, f64)>,
}

impl Bar {
    fn low(&self) -> f64 {
        self.interval.map_or(self.value, |(low, _)| low.min(self.value))
    }

    fn high(&self) -> f64 {
        self.interval.map_or(self.value, |(_, high)| high.max(self.value))
    }
}

/// A row of bars for each group, one for each of the named `series` (four at most). `None` where there is
/// no figure at all.
pub fn grouped(words: Words<'_>, series: &[&str], groups: &[Group<'_>]) -> Option<Chart> {
    let known = || groups.iter().flat_map(|group| &group.bars).flatten();
    let highest = known().map(Bar::high).reduce(f64::max)?;
    let lowest = known().map(Bar::low).fold(0.0, f64::min);
    let x = Scale::with_zero(lowest, highest, 7);
    let mut svg = words.begin();
    legend(&mut svg, series);
    let of_group = series.len() as f64 * (BAR + BETWEEN_BARS) + BETWEEN_GROUPS;
    let bottom = TOP + groups.len() as f64 * of_group;
    words.axis(&mut svg, x, TOP, bottom);
    for (index, group) in groups.iter().enumerate() {
        let top = TOP + index as f64 * of_group + BETWEEN_GROUPS / 2.0;
        let middle = top + (of_group - BETWEEN_GROUPS - BETWEEN_BARS) / 2.0;
        rows::name(&mut svg, middle, group.name);
        for (bar, (row, colour)) in group.bars.iter().zip(COLOURS.iter().enumerate()) {
            let y = top + row as f64 * (BAR + BETWEEN_BARS);
            draw(&mut svg, x, y, *bar, colour);
        }
    }
    svg.line(&[(place(x, 0.0), TOP), (place(x, 0.0), bottom)], thin(PALE_INK));
    Some(words.finish(svg, bottom + BELOW_AXIS, in_words(&words, series, groups)))
}

fn legend(svg: &mut Svg, series: &[&str]) {
    let mut x = 20.0;
    for (name, colour) in series.iter().zip(COLOURS) {
        svg.rect((x, 62.0), (22.0, 11.0), colour, 0.9);
        svg.text((x + 28.0, 72.5), name, LEGEND);
        x += 28.0 + text_width(name, LEGEND.size) + 22.0;
    }
}

/// The bar with its interval, and its value behind both.
fn draw(svg: &mut Svg, x: Scale, y: f64, bar: Option<Bar>, colour: &str) {
    let (zero, middle) = (place(x, 0.0), y + BAR / 2.0);
    let value = Font { size: 12.0, ..LEGEND };
    let Some(bar) = bar else {
        let missing = Font { colour: PALE_INK, ..value };
        return svg.text((zero + 6.0, middle + 4.0), format::NOT_MEASURED, missing);
    };
    let end = place(x, bar.value);
    svg.rect((zero.min(end), y), ((end - zero).abs().max(1.0), BAR), colour, 0.9);
    if let Some((low, high)) = bar.interval {
        let stroke = Stroke { width: 1.5, ..thin(LEGEND.colour) };
        let (low, high) = (place(x, low), place(x, high));
        svg.line(&[(low, middle), (high, middle)], stroke);
        for cap in [low, high] {
            svg.line(&[(cap, middle - 4.0), (cap, middle + 4.0)], stroke);
        }
    }
    let behind = place(x, bar.high()).max(zero).min(RIGHT);
    svg.text((behind + 6.0, middle + 4.0), &format::signed_amount(bar.value), value);
}

fn in_words(words: &Words<'_>, series: &[&str], groups: &[Group<'_>]) -> String {
    let said = groups.iter().map(|group| {
        let bars = group.bars.iter().zip(series).map(|(bar, name)| {
            let value =
                bar.map_or(format::NOT_MEASURED.to_owned(), |it| format::signed_amount(it.value));
            format!("{name} {value}")
        });
        format!("{}: {}", group.name, bars.collect::<Vec<_>>().join(", "))
    });
    format!("Bars of {}. {}.", words.axis, said.collect::<Vec<_>>().join("; "))
}
