//! Figures as text: the one place where a number is rounded for a reader. Each keeps about three
//! digits, for the histograms hold no more, and nothing that is not zero is shown as zero.

use std::time::Duration;

/// What stands where a figure was not taken.
pub const NOT_MEASURED: &str = "not measured";
/// What stands where there is nothing that a figure could be made from.
pub const NO_DATA: &str = "no data";

/// Narrow no-break space between groups of three digits.
const SEPARATOR: char = '\u{202f}';

/// A whole number, in groups of three digits.
pub fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut grouped = String::with_capacity(digits.len() * 2);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            grouped.push(SEPARATOR);
        }
        grouped.push(digit);
    }
    grouped
}

/// `count` and the noun that goes with it: `1 user`, `2 users`.
pub fn counted(number: u64, one: &str, many: &str) -> String {
    format!("{} {}", count(number), if number == 1 { one } else { many })
}

/// At least three significant digits below 1 000, whole above; `<` where `decimals` digits would
/// show zero.
fn figure(value: f64, decimals: usize) -> String {
    let smallest = 10f64.powi(-(decimals as i32));
    match value {
        0.0 => "0".to_owned(),
        v if v < smallest => format!("<{smallest:.decimals$}"),
        v if v < 1.0 => format!("{v:.decimals$}"),
        v if v < 9.995 => format!("{v:.2}"),
        v if v < 99.95 => format!("{v:.1}"),
        v => count(v.round() as u64),
    }
}

/// Milliseconds, without the unit: `0.213`, `1.23`, `12.4`, `924`, `1 234`.
pub fn millis(ms: f64) -> String {
    figure(ms, 3)
}

/// Things per second, without the unit.
pub fn rate(per_second: f64) -> String {
    figure(per_second, 2)
}

/// Seconds or milliseconds of processor time, without the unit.
pub fn amount(value: f64) -> String {
    figure(value, 3)
}

/// An amount that may be below zero, without the unit.
pub fn signed_amount(value: f64) -> String {
    let sign = if value < 0.0 { "\u{2212}" } else { "" };
    format!("{sign}{}", amount(value.abs()))
}

/// An amount of money, without its currency: at least two decimals, and at least three digits that
/// are not zero.
pub fn money(value: f64) -> String {
    let magnitude = if value > 0.0 { value.log10().floor() } else { 0.0 };
    let decimals = (2.0 - magnitude).clamp(2.0, 12.0) as usize;
    format!("{value:.decimals$}")
}

/// A share (0 to 1) in percent, with its unit. Only nothing is `0%` and only all is `100%`.
pub fn share(share: f64) -> String {
    let percent = share * 100.0;
    match percent {
        0.0 => "0%".to_owned(),
        p if p < 0.001 => "<0.001%".to_owned(),
        p if p < 0.1 => format!("{p:.3}%"),
        p if p < 9.995 => format!("{p:.2}%"),
        p if p >= 100.0 => "100%".to_owned(),
        p if p > 99.9 => ">99.9%".to_owned(),
        p => format!("{p:.1}%"),
    }
}

/// Use of processors, in percent of one, with its unit: may exceed 100%.
pub fn cpu(percent: f64) -> String {
    format!("{}%", figure(percent, 2))
}

/// Bytes in binary units.
pub fn bytes(bytes: u64) -> String {
    const UNITS: [&str; 4] = ["KiB", "MiB", "GiB", "TiB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    let mut value = bytes as f64 / 1024.0;
    let mut unit = UNITS[0];
    for larger in &UNITS[1..] {
        if value < 1000.0 {
            break;
        }
        value /= 1024.0;
        unit = larger;
    }
    format!("{} {unit}", figure(value, 2))
}

/// A change in bytes, with its sign.
pub fn growth(change: i64) -> String {
    let sign = match change {
        0 => "",
        c if c > 0 => "+",
        _ => "\u{2212}",
    };
    format!("{sign}{}", bytes(change.unsigned_abs()))
}

/// A length of time, with units.
pub fn duration(duration: Duration) -> String {
    let seconds = duration.as_secs_f64();
    let whole = seconds.round() as u64;
    let pair = |large: u64, large_unit: &str, small: u64, small_unit: &str| match small {
        0 => format!("{large} {large_unit}"),
        small => format!("{large} {large_unit} {small} {small_unit}"),
    };
    match seconds {
        0.0 => "0 s".to_owned(),
        s if s < 1.0 => format!("{} ms", millis(s * 1000.0)),
        s if s < 120.0 => {
            let text = format!("{s:.1}");
            format!("{} s", text.strip_suffix(".0").unwrap_or(&text))
        }
        s if s < 7200.0 => pair(whole / 60, "min", whole % 60, "s"),
        _ => pair(whole / 3600, "h", whole % 3600 / 60, "min"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn milliseconds_keep_three_digits() {
        let shown = [0.0, 0.0004, 0.2134, 1.234, 9.996, 12.44, 99.96, 923.6, 1234.4, 1_234_567.0];
        assert_eq!(
            shown.map(millis).map(|text| text.replace(SEPARATOR, " ")),
            ["0", "<0.001", "0.213", "1.23", "10.0", "12.4", "100", "924", "1 234", "1 234 567"]
        );
    }

    #[test]
    fn shares_are_never_rounded_to_nothing_or_all() {
        let shown = [0.0, 0.000_001, 0.0004, 0.004, 0.0512, 0.25, 0.9995, 0.999_99, 1.0];
        assert_eq!(
            shown.map(share),
            ["0%", "<0.001%", "0.040%", "0.40%", "5.12%", "25.0%", ">99.9%", ">99.9%", "100%"]
        );
    }

    #[test]
    fn lengths_of_time_read_well() {
        let shown = [0, 90, 1_500, 30_000, 119_000, 330_000, 10_800_000, 11_100_000];
        assert_eq!(
            shown.map(|ms| duration(Duration::from_millis(ms))),
            ["0 s", "90.0 ms", "1.5 s", "30 s", "119 s", "5 min 30 s", "3 h", "3 h 5 min"]
        );
    }

    #[test]
    fn sizes_carry_unit_and_sign() {
        assert_eq!(bytes(512), "512 B");
        assert_eq!(bytes(123 << 20), "123 MiB");
        assert_eq!(growth(3 << 19), "+1.50 MiB");
        assert_eq!(growth(-2048), "\u{2212}2.00 KiB");
    }
}
