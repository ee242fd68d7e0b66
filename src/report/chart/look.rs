//! Colours and fonts of all charts.

use super::svg::{Font, Stroke};

/// Colours that people with any common colour blindness can tell apart (Okabe and Ito 2008).
pub mod palette {
    /// The first series.
    pub const BLUE: &str = "#0072b2";
    /// The second.
    pub const ORANGE: &str = "#e69f00";
    /// The worst: failures, the highest percentile.
    pub const VERMILLION: &str = "#d55e00";
    /// What is neither good nor bad.
    pub const GREEN: &str = "#009e73";
    /// A fifth series.
    pub const PURPLE: &str = "#cc79a7";
    /// A sixth.
    pub const SKY: &str = "#56b4e9";
    /// Series in order; neighbours differ in lightness too.
    pub const ALL: [&str; 6] = [BLUE, ORANGE, GREEN, PURPLE, VERMILLION, SKY];
}

/// The chart's own background.
pub const PAPER: &str = "#ffffff";
/// Its edge.
pub const EDGE: &str = "#d0d7de";
/// Text.
pub const INK: &str = "#1f2328";
/// Text that matters less; axes.
pub const PALE_INK: &str = "#57606a";
/// Lines behind the data.
pub const GRID: &str = "#e4e8ec";
/// What was not measured: colour and opacity.
pub const SHADE: (&str, f64) = ("#8c959f", 0.16);
/// A warning.
pub const ALARM: &str = "#b3261e";

/// Where the reader prefers dark pages, each of these colours gives way to the one beside it. The
/// others can be told from either background.
pub const IN_THE_DARK: [(&str, &str); 8] = [
    (PAPER, "#161b22"),
    (EDGE, "#3d444d"),
    (INK, "#e6edf3"),
    (PALE_INK, "#9da7b3"),
    (GRID, "#2a313a"),
    (ALARM, "#ffa198"),
    (palette::BLUE, "#3f9fe0"),
    (palette::GREEN, "#22b78c"),
];

/// Title of a chart.
pub const TITLE: Font = Font { size: 17.0, colour: INK, anchor: "start", bold: true };
/// Warning in its corner.
pub const FLAG: Font = Font { size: 15.0, colour: ALARM, anchor: "end", bold: true };
/// What one point is.
pub const SUBTITLE: Font = Font { size: 13.0, colour: PALE_INK, anchor: "start", bold: false };
/// Names of series and values beside the data.
pub const LEGEND: Font = Font { size: 13.0, colour: INK, anchor: "start", bold: false };
/// Labels of an axis.
pub const TICK: Font = Font { size: 12.0, colour: PALE_INK, anchor: "end", bold: false };
/// Name and unit of an axis.
pub const AXIS: Font = Font { size: 13.0, colour: INK, anchor: "middle", bold: false };

/// How the series at `place` (from 0) is drawn among others of its kind: each has a colour and a dash
/// of its own, and the one that is looked at most, `after`, is whole.
pub fn series_stroke(place: usize) -> Stroke {
    const STROKES: [Stroke; 4] = [
        Stroke { colour: palette::ORANGE, width: 2.2, dash: "7 3" },
        Stroke { colour: palette::BLUE, width: 2.2, dash: "" },
        Stroke { colour: palette::GREEN, width: 2.2, dash: "2.5 2.5" },
        Stroke { colour: palette::PURPLE, width: 2.2, dash: "10 3 2 3" },
    ];
    STROKES[place % STROKES.len()]
}

/// A hairline.
pub fn thin(colour: &'static str) -> Stroke {
    Stroke { colour, width: 1.0, dash: "" }
}
