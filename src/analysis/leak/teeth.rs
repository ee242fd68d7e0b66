//! The teeth of a garbage collector: memory grows, and falls back at once.

use crate::stats::line::least_squares;

/// A tooth falls by more than this share of all that the values range over.
const DEEP: f64 = 0.5;
/// With fewer troughs than this, nothing is known of where they go.
const FEWEST: usize = 5;
/// Teeth with fewer looks than this on average are not resolved: where their troughs were is not seen.
const RESOLVED: usize = 6;

/// Upper end of the 95% interval of the slope (least squares) of the troughs between teeth, in units a
/// second. How far a trough is from its look is chance, and alike in all of them. `None` where `series`
/// (seconds, value) has too few teeth, or its looks are too far apart to see them.
pub(super) fn troughs_at_most(series: &[(f64, f64)]) -> Option<f64> {
    let troughs = troughs(series);
    let are_seen = troughs.len() >= FEWEST && series.len() >= RESOLVED * troughs.len();
    are_seen.then(|| least_squares(&troughs)).flatten().map(|slope| slope.interval.high)
}

/// The least value after each deep fall, before the next rise.
fn troughs(series: &[(f64, f64)]) -> Vec<(f64, f64)> {
    let values = || series.iter().map(|(_, value)| *value);
    let (low, high) = (values().fold(f64::INFINITY, f64::min), values().fold(0.0, f64::max));
    let deep = DEEP * (high - low);
    let mut found = Vec::new();
    let mut top = f64::NEG_INFINITY;
    let mut trough: Option<(f64, f64)> = None;
    for &(at, value) in series {
        match trough {
            Some((_, least)) if value <= least => trough = Some((at, value)),
            Some(point) if value - point.1 > deep / 2.0 => {
                found.push(point);
                (trough, top) = (None, value);
            }
            Some(_) => {}
            None if top - value > deep => trough = Some((at, value)),
            None => top = top.max(value),
        }
    }
    // One that the values have left, if not for good.
    let is_left = |point: &(f64, f64)| series.last().is_some_and(|(at, _)| *at > point.0);
    found.extend(trough.filter(is_left));
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 7 teeth of 12 s, with looks each second, above a floor that grows by so much a second.
    fn teeth(growth: f64) -> Vec<(f64, f64)> {
        let value = |at: f64| 50.0 + at * growth + at % 12.0;
        (0..84).map(f64::from).map(|at| (at, value(at))).collect()
    }

    #[test]
    fn each_fall_has_a_trough_and_what_does_not_fall_has_none() {
        let found: Vec<f64> = troughs(&teeth(0.0)).iter().map(|(at, _)| *at).collect();
        assert_eq!(found, [12.0, 24.0, 36.0, 48.0, 60.0, 72.0]);
        let growing: Vec<(f64, f64)> = (0..84).map(|at| (f64::from(at), f64::from(at))).collect();
        assert_eq!((troughs(&growing), troughs_at_most(&growing)), (Vec::new(), None));
    }

    #[test]
    fn troughs_go_where_the_floor_goes() {
        assert!(troughs_at_most(&teeth(0.0)).is_some_and(|most| most.abs() < 1e-9));
        assert!(troughs_at_most(&teeth(0.05)).is_some_and(|most| (most - 0.05).abs() < 1e-9));
        // Of teeth that are shorter than six looks the troughs are not seen.
        let coarse: Vec<(f64, f64)> = teeth(0.0).into_iter().step_by(4).collect();
        assert_eq!(troughs_at_most(&coarse), None);
    }
}
