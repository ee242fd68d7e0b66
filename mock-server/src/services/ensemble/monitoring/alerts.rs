//! Which statistics are out of bounds.

use serde::Serialize;

use super::{Operation, Stats};

/// A statistic that is out of bounds.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(in super::super) struct Alert {
    pub operation: &'static str,
    /// `p95_ms` or `error_rate`.
    pub metric: &'static str,
    pub severity: Severity,
    pub value: f64,
    /// The bound that the value is above.
    pub threshold: f64,
    pub message: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(in super::super) enum Severity {
    Warning,
    Critical,
}

/// Above these, something is worth a warning, or critical.
#[derive(Debug, Clone, Copy)]
struct Bounds {
    warning: f64,
    critical: f64,
}

/// Bounds of the 95th percentile, milliseconds.
const P95: [(Operation, Bounds); 3] = [
    (Operation::TimeTravelTotal, Bounds { warning: 45_000.0, critical: 90_000.0 }),
    (Operation::SnapshotGeneration, Bounds { warning: 30_000.0, critical: 60_000.0 }),
    (Operation::SingleSnapshot, Bounds { warning: 25_000.0, critical: 45_000.0 }),
];

/// Bounds of the error rate of every operation.
const ERROR_RATE: Bounds = Bounds { warning: 0.05, critical: 0.10 };

/// What is above its bound; what is at its bound is not. One alert a statistic: the graver one.
pub(in super::super) fn alerts(stats: &[Stats]) -> Vec<Alert> {
    let mut alerts = Vec::new();
    for stats in stats {
        let bounds = P95.iter().find(|(operation, _)| *operation == stats.operation);
        let p95 = bounds.and_then(|(_, bounds)| alert(stats, "p95_ms", stats.p95_ms, *bounds));
        alerts.extend(p95);
        alerts.extend(alert(stats, "error_rate", stats.error_rate, ERROR_RATE));
    }
    alerts
}

fn alert(stats: &Stats, metric: &'static str, value: f64, bounds: Bounds) -> Option<Alert> {
    let (severity, threshold) = if value > bounds.critical {
        (Severity::Critical, bounds.critical)
    } else if value > bounds.warning {
        (Severity::Warning, bounds.warning)
    } else {
        return None;
    };
    let operation = stats.operation.name();
    let message = format!("{metric} of {operation} is {value:.3}, above {threshold}");
    Some(Alert { operation, metric, severity, value, threshold, message })
}
