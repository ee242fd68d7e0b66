//! How figures that are compared, and their changes, are written.

use crate::analysis::compare::{Quantity, Scale};

use super::format;

/// A change with its sign: a share of what it was, or points.
pub fn change(quantity: Quantity, amount: f64) -> String {
    let text = unsigned(quantity, amount.abs());
    match amount {
        // What is rounded to nothing has no sign.
        _ if text.starts_with("0.0%") || text.starts_with("0.00 ") => text,
        amount if amount > 0.0 => format!("+{text}"),
        _ => format!("\u{2212}{text}"),
    }
}

/// A change without one.
pub fn unsigned(quantity: Quantity, amount: f64) -> String {
    let hundredths = amount * 100.0;
    match quantity.scale() {
        Scale::Points => format!("{hundredths:.2} pt"),
        Scale::Relative if hundredths >= 999.5 => format!("{hundredths:.0}%"),
        Scale::Relative => format!("{hundredths:.1}%"),
    }
}

/// A figure with its unit.
pub fn in_unit(quantity: Quantity, value: f64) -> String {
    match quantity {
        Quantity::Throughput | Quantity::OutputTokens | Quantity::Rows => {
            format!("{}/s", format::rate(value))
        }
        Quantity::Failures | Quantity::Connections => format::share(value),
        Quantity::Time(..) | Quantity::RowTime(_) => format!("{} ms", format::millis(value)),
        Quantity::CpuPerRequest => format!("{} ms", format::amount(value)),
        Quantity::Cpu => format::cpu(value),
        Quantity::Memory => format::bytes(value.round() as u64),
    }
}

/// The unit of a figure as a plain number, for machines.
pub fn unit(quantity: Quantity) -> &'static str {
    match quantity {
        Quantity::Throughput | Quantity::OutputTokens | Quantity::Rows => "1/s",
        Quantity::Failures | Quantity::Connections => "share",
        Quantity::Time(..) | Quantity::RowTime(_) | Quantity::CpuPerRequest => "ms",
        Quantity::Cpu => "percent of one processor",
        Quantity::Memory => "bytes",
    }
}
