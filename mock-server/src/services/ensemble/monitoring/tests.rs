use std::time::Duration;

use super::{Monitor, Operation, alerts, breakdown, metrics};

/// A monitor at a hundredth of real time, told of one operation that took so many stated seconds.
fn told(operation: Operation, seconds: f64) -> Monitor {
    let monitor = Monitor::new(0.01);
    monitor.record(operation, Duration::from_secs_f64(seconds / 100.0), true);
    monitor
}

/// Severity and threshold of every alert.
fn raised(monitor: &Monitor) -> Vec<(String, f64)> {
    let alerts = alerts(&monitor.stats());
    alerts.iter().map(|a| (format!("{:?}", a.severity), a.threshold)).collect()
}

/// S1-14.
#[test]
fn percentiles_above_their_bounds_raise_alerts_and_those_at_them_do_not() {
    let warning = |bound| vec![("Warning".to_owned(), bound)];
    let critical = |bound| vec![("Critical".to_owned(), bound)];
    for (operation, seconds, expected) in [
        (Operation::TimeTravelTotal, 30.0, vec![]),
        (Operation::TimeTravelTotal, 45.0, vec![]),
        (Operation::TimeTravelTotal, 46.0, warning(45_000.0)),
        (Operation::TimeTravelTotal, 90.0, warning(45_000.0)),
        (Operation::TimeTravelTotal, 91.0, critical(90_000.0)),
        (Operation::SnapshotGeneration, 30.0, vec![]),
        (Operation::SnapshotGeneration, 30.1, warning(30_000.0)),
        (Operation::SnapshotGeneration, 60.1, critical(60_000.0)),
        (Operation::SingleSnapshot, 25.0, vec![]),
        (Operation::SingleSnapshot, 25.1, warning(25_000.0)),
        (Operation::SingleSnapshot, 45.1, critical(45_000.0)),
        (Operation::KeyChanges, 900.0, vec![]),
    ] {
        assert_eq!(raised(&told(operation, seconds)), expected, "{operation:?} {seconds} s");
    }
}

/// S1-14.
#[test]
fn error_rates_above_5_and_10_percent_raise_alerts() {
    for (errors, expected) in [
        (5, vec![]),
        (6, vec![("Warning".to_owned(), 0.05)]),
        (10, vec![("Warning".to_owned(), 0.05)]),
        (11, vec![("Critical".to_owned(), 0.10)]),
    ] {
        let monitor = Monitor::new(0.01);
        for number in 0..100 {
            monitor.record(Operation::KeyChanges, Duration::ZERO, number >= errors);
        }
        assert_eq!(raised(&monitor), expected, "{errors} of 100");
    }
}

#[test]
fn percentiles_are_the_smallest_value_with_that_share_at_or_below_it() {
    let monitor = Monitor::new(1.0);
    for ms in 1..=100 {
        monitor.record(Operation::TimeTravelTotal, Duration::from_millis(ms), true);
    }
    let total = &monitor.stats()[0];
    for (percentile, expected) in [(total.p50_ms, 50.0), (total.p95_ms, 95.0), (total.p99_ms, 99.0)]
    {
        assert!((percentile - expected).abs() <= expected / 1_000.0, "{percentile} {expected}");
    }
    assert_eq!((total.count, total.mean_ms), (100, 50.5));
    assert_eq!((total.min_ms, total.max_ms), (1.0, 100.0));
    monitor.reset();
    assert_eq!(monitor.stats()[0].count, 0);
}

#[test]
fn the_breakdown_compares_with_baseline_and_target() {
    let of = |seconds| breakdown(&told(Operation::TimeTravelTotal, seconds).stats());
    let (met, missed) = (of(30.0), of(45.0));
    assert_eq!((&met["on_target"], &missed["on_target"]), (&true.into(), &false.into()));
    assert_eq!(
        (&missed["current_p95_ms"], &missed["improvement_percentage"]),
        (&45_000.0.into(), &50.0.into())
    );
    assert_eq!((&met["baseline_ms"], &met["target_ms"]), (&90_000.0.into(), &30_000.0.into()));
    assert_eq!(met["breakdown"].as_object().unwrap().len(), Operation::ALL.len() - 1);
    let none = breakdown(&Monitor::new(1.0).stats());
    assert!(none["current_p95_ms"].is_null() && none["on_target"] == false);
}

#[test]
fn metrics_are_summaries_in_seconds() {
    let text = metrics(0.01, &told(Operation::SingleSnapshot, 20.0).stats());
    for line in [
        "time_travel_time_scale 0.01",
        "# TYPE single_snapshot_duration_seconds summary",
        "single_snapshot_duration_seconds{quantile=\"0.5\"} 20",
        "single_snapshot_duration_seconds{quantile=\"0.95\"} 20",
        "single_snapshot_duration_seconds{quantile=\"0.99\"} 20",
        "single_snapshot_duration_seconds_sum 20",
        "single_snapshot_duration_seconds_count 1",
        "time_travel_total_duration_seconds_count 0",
    ] {
        assert!(text.lines().any(|found| found == line), "{line}\n{text}");
    }
}
