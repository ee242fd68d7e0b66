//! Figures in the sentences of findings: three digits, and a unit.

/// A share (0 to 1) in percent.
pub(super) fn percent(share: f64) -> String {
    format!("{}%", number(share * 100.0))
}

/// Milliseconds.
pub(super) fn millis(ms: f64) -> String {
    format!("{} ms", number(ms))
}

/// A number with about three digits.
pub(super) fn number(value: f64) -> String {
    match value.abs() {
        0.0 => "0".to_owned(),
        v if v < 0.01 => format!("{value:.4}"),
        v if v < 9.995 => format!("{value:.2}"),
        v if v < 99.95 => format!("{value:.1}"),
        _ => format!("{value:.0}"),
    }
}

/// Processors: a control group may leave a part of one.
pub(super) fn processors(value: f64) -> String {
    if value.fract() == 0.0 { count(value) } else { number(value) }
}

/// How many.
pub(super) fn count(value: f64) -> String {
    format!("{:.0}", value.round())
}
