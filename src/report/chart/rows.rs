//! What charts of horizontal bars share: names at the left, an axis below, and how they are saved.

use crate::report::model::Chart;

use super::look::{AXIS, FLAG, GRID, INK, PALE_INK, SUBTITLE, TICK, TITLE, thin};
use super::scale::Scale;
use super::svg::{Font, Svg, text_width};

pub const WIDTH: f64 = 860.0;
/// Room for the names of rows.
pub const LEFT: f64 = 200.0;
/// Beyond it there is room for values beside the bars.
pub const RIGHT: f64 = WIDTH - 130.0;
const NAME: Font = Font { size: 13.0, colour: INK, anchor: "end", bold: false };

/// The words of a chart.
#[derive(Debug, Clone, Copy)]
pub struct Words<'a> {
    /// Title.
    pub title: &'a str,
    /// What one bar is.
    pub subtitle: &'a str,
    /// Name and unit of the axis: `Gain (times)`.
    pub axis: &'a str,
    /// Name of its file, without the ending.
    pub file_stem: &'a str,
    /// A warning in the corner.
    pub flag: Option<&'a str>,
}

impl Words<'_> {
    /// A document with the words at its head.
    pub fn begin(&self) -> Svg {
        let mut svg = Svg::new(WIDTH);
        svg.text((20.0, 30.0), self.title, TITLE);
        svg.text((20.0, 50.0), self.subtitle, SUBTITLE);
        if let Some(flag) = self.flag {
            svg.text((WIDTH - 22.0, 30.0), flag, FLAG);
        }
        svg
    }

    /// The document as a chart, with the axis' name below `bottom`.
    pub fn finish(&self, svg: Svg, height: f64, alt: String) -> Chart {
        let marked = |text: &str| match self.flag {
            Some(flag) => format!("{text} ({flag})"),
            None => text.to_owned(),
        };
        Chart {
            folder: "charts",
            file_stem: self.file_stem.to_owned(),
            title: marked(self.title),
            alt: marked(&alt),
            svg: svg.finish(height, self.title, &alt),
        }
    }

    /// Grid, labels and name of the axis, for rows between `top` and `bottom`.
    pub fn axis(&self, svg: &mut Svg, x: Scale, top: f64, bottom: f64) {
        for tick in x.ticks(7) {
            let at = place(x, tick.value);
            svg.line(&[(at, top), (at, bottom)], thin(GRID));
            svg.line(&[(at, bottom), (at, bottom + 4.0)], thin(PALE_INK));
            svg.text((at, bottom + 19.0), &tick.label, Font { anchor: "middle", ..TICK });
        }
        svg.line(&[(LEFT, bottom), (RIGHT, bottom)], thin(PALE_INK));
        svg.text(((LEFT + RIGHT) / 2.0, bottom + 40.0), self.axis, AXIS);
    }
}

/// Room that the axis takes below the rows.
pub const BELOW_AXIS: f64 = 52.0;

/// Position of a value of the axis.
pub fn place(x: Scale, value: f64) -> f64 {
    LEFT + x.position(value) * (RIGHT - LEFT)
}

/// The name of a row whose middle is at `y`, cut where it has no room.
pub fn name(svg: &mut Svg, y: f64, name: &str) {
    svg.text((LEFT - 10.0, y + 4.5), &cut(name, LEFT - 26.0, NAME.size), NAME);
}

/// `text`, or as much of it as takes `width`, and an ellipsis.
pub fn cut(text: &str, width: f64, size: f64) -> String {
    if text_width(text, size) <= width {
        return text.to_owned();
    }
    let room = (width / text_width("m", size)) as usize;
    text.chars().take(room.saturating_sub(1)).chain(['\u{2026}']).collect()
}
