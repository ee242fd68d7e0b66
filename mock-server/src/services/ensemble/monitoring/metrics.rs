//! Statistics in Prometheus' text format.

use std::fmt::Write as _;

use super::Stats;

/// The format's content type.
pub(in super::super) const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// One summary an operation, in stated seconds, and how many real seconds such a one is. An operation
/// without any time has no quantiles.
pub(in super::super) fn metrics(time_scale: f64, stats: &[Stats]) -> String {
    let name = "time_travel_time_scale";
    let mut text = format!(
        "# HELP {name} Real seconds of one second that is stated here.\n# TYPE {name} gauge\n\
         {name} {time_scale}\n"
    );
    for stats in stats {
        // Writing into a string cannot fail.
        let _ = summary(&mut text, stats);
    }
    text
}

fn summary(text: &mut String, stats: &Stats) -> std::fmt::Result {
    let name = format!("{}_duration_seconds", stats.operation.name());
    writeln!(text, "# HELP {name} Time of the operation {}.", stats.operation.name())?;
    writeln!(text, "# TYPE {name} summary")?;
    if stats.count > 0 {
        for (quantile, ms) in
            [("0.5", stats.p50_ms), ("0.95", stats.p95_ms), ("0.99", stats.p99_ms)]
        {
            writeln!(text, "{name}{{quantile=\"{quantile}\"}} {}", ms / 1e3)?;
        }
    }
    writeln!(text, "{name}_sum {}", stats.sum_ms / 1e3)?;
    writeln!(text, "{name}_count {}", stats.count)
}
