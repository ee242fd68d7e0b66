//! From values to positions, and which values to label.

use crate::report::format;

/// How values are laid out along an axis.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Scale {
    /// Equal distances for equal differences.
    Linear {
        /// Value at the axis' begin.
        min: f64,
        /// Value at its end.
        max: f64,
    },
    /// Equal distances for equal ratios; both ends above zero.
    Log {
        /// Value at the axis' begin.
        min: f64,
        /// Value at its end.
        max: f64,
    },
    /// Shares from 0 up to `max`, below 1: equal distances each time that a tenth is left of what is
    /// above.
    Tail {
        /// Share at the axis' end.
        max: f64,
    },
}

/// A labelled value.
#[derive(Debug, Clone, PartialEq)]
pub struct Tick {
    /// Value.
    pub value: f64,
    /// Its label.
    pub label: String,
}

impl Scale {
    /// From zero to a round value at or above `max`, with about `ticks` labelled values.
    pub fn from_zero(max: f64, ticks: usize) -> Scale {
        Scale::with_zero(0.0, max, ticks)
    }

    /// From a round value at or below `min`, and not above zero, to one at or above `max`.
    pub fn with_zero(min: f64, max: f64, ticks: usize) -> Scale {
        let (min, max) = (min.min(0.0), max.max(0.0));
        let max = if max > min { max } else { 1.0 };
        let step = round_step((max - min) / ticks as f64);
        Scale::Linear { min: (min / step).floor() * step, max: (max / step).ceil() * step }
    }

    /// Where `value` lies: 0 at the axis' begin, 1 at its end; values beyond are held there.
    pub fn position(&self, value: f64) -> f64 {
        let share = match *self {
            Scale::Linear { min, max } => (value - min) / (max - min),
            Scale::Log { min, max } => (value / min).ln() / (max / min).ln(),
            Scale::Tail { max } => (1.0 - value.min(max)).ln() / (1.0 - max).ln(),
        };
        if share.is_finite() { share.clamp(0.0, 1.0) } else { 0.0 }
    }

    /// Round values, about `wanted` of them.
    pub fn ticks(&self, wanted: usize) -> Vec<Tick> {
        match *self {
            Scale::Linear { min, max } => linear_ticks(min, max, wanted),
            Scale::Log { min, max } => log_ticks(min, max, wanted),
            Scale::Tail { max } => tail_ticks(max),
        }
    }
}

/// The nearest of 1, 2, 5, 10 times a power of ten at or above `rough`.
fn round_step(rough: f64) -> f64 {
    let power = 10f64.powf(rough.log10().floor());
    let factor = rough / power;
    let round = [1.0, 2.0, 5.0].into_iter().find(|round| factor <= round * 1.000_001);
    round.unwrap_or(10.0) * power
}

fn linear_ticks(min: f64, max: f64, wanted: usize) -> Vec<Tick> {
    let step = round_step((max - min) / wanted as f64);
    let decimals = (-step.log10().floor()).max(0.0) as usize;
    let first = (min / step - 1e-6).ceil() as i64;
    let last = (max / step + 1e-6).floor() as i64;
    let label = |value: f64| match decimals {
        0 => format::count(value.abs().round() as u64),
        _ => format!("{:.decimals$}", value.abs()),
    };
    let label = |value: f64| match value < 0.0 {
        true => format!("\u{2212}{}", label(value)),
        false => label(value),
    };
    let values = (first..=last).map(|index| index as f64 * step);
    values.map(|value| Tick { value, label: label(value) }).collect()
}

fn log_ticks(min: f64, max: f64, wanted: usize) -> Vec<Tick> {
    let decades = (max / min).log10();
    let factors: &[f64] = match decades * 3.0 <= wanted as f64 * 2.0 {
        true => &[1.0, 2.0, 5.0],
        false => &[1.0],
    };
    let powers = min.log10().floor() as i32..=max.log10().ceil() as i32;
    powers
        .flat_map(|power| factors.iter().map(move |factor| factor * 10f64.powi(power)))
        .filter(|value| (min * 0.999..=max * 1.001).contains(value))
        .map(|value| Tick { value, label: log_label(value) })
        .collect()
}

/// In percent; where the axis is long, those between the powers of ten have no room.
fn tail_ticks(max: f64) -> Vec<Tick> {
    let between = [("75", 0.75), ("95", 0.95)];
    let always = [
        ("0", 0.0),
        ("50", 0.5),
        ("90", 0.9),
        ("99", 0.99),
        ("99.9", 0.999),
        ("99.99", 0.9999),
        ("99.999", 0.999_99),
        ("99.9999", 0.999_999),
    ];
    let between = between.into_iter().filter(|_| max <= 0.999_999);
    let fitting = between.chain(always).filter(|(_, value)| *value <= max);
    fitting.map(|(label, value)| Tick { value, label: label.to_owned() }).collect()
}

fn log_label(value: f64) -> String {
    match value {
        v if v >= 1.0 => format::count(v.round() as u64),
        v => format!("{v:.*}", (-v.log10()).ceil().max(1.0) as usize),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(scale: Scale, wanted: usize) -> Vec<String> {
        scale.ticks(wanted).into_iter().map(|tick| tick.label).collect()
    }

    #[test]
    fn labels_are_round_and_cover_the_axis() {
        assert_eq!(
            labels(Scale::from_zero(924.0, 5), 5),
            ["0", "200", "400", "600", "800", "1\u{202f}000"]
        );
        assert_eq!(labels(Scale::from_zero(0.37, 4), 4), ["0.0", "0.1", "0.2", "0.3", "0.4"]);
        assert_eq!(labels(Scale::from_zero(0.0, 2), 2), ["0.0", "0.5", "1.0"]);
        assert_eq!(
            labels(Scale::Log { min: 0.5, max: 120.0 }, 8),
            ["0.5", "1", "2", "5", "10", "20", "50", "100"]
        );
        assert_eq!(labels(Scale::with_zero(-12.0, 31.0, 5), 5), ["\u{2212}20", "0", "20", "40"]);
        assert_eq!(
            labels(Scale::Tail { max: 0.9995 }, 8),
            ["75", "95", "0", "50", "90", "99", "99.9"]
        );
    }

    #[test]
    fn positions_stay_on_the_axis() {
        let scale = Scale::Log { min: 1.0, max: 100.0 };
        assert!((scale.position(10.0) - 0.5).abs() < 1e-9);
        assert_eq!(scale.position(0.0), 0.0);
        assert_eq!(scale.position(1e9), 1.0);
        let tail = Scale::Tail { max: 0.9999 };
        assert!((tail.position(0.99) - 0.5).abs() < 1e-9 && tail.position(1.0) == 1.0);
        assert_eq!(tail.position(0.0), 0.0);
    }
}
