//! Whether something grows, and how fast: rank statistics, which single outliers do not move.
//!
//! All of them look at every pair of values: give them tens of values, not thousands.

use super::bootstrap::Interval;
use super::order::median;

/// The standard normal quantile of a two-sided 95% interval.
pub const Z_95: f64 = 1.959_963_984_540_054;

/// A slope, and where the true one lies.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Slope {
    /// Median of the slopes between all pairs, in units of `y` a unit of `x`.
    pub slope: f64,
    /// Where the true slope lies, with the confidence that was asked for.
    pub interval: Interval,
}

/// The slope of Theil (1950) and Sen (1968), "Estimates of the regression coefficient based on
/// Kendall's tau": the median over all pairs of points with different `x`. Its interval lies between
/// the slopes whose ranks are `(N ∓ z √Var S) / 2` of `N`, by the variance of Kendall's S with ties
/// taken into account; `z` is the standard normal quantile of the confidence ([`Z_95`]). It takes
/// neighbouring values as independent: where they are not, it is too narrow.
///
/// `None` where all points have the same `x`, or one of them is no finite number.
pub fn theil_sen(points: &[(f64, f64)], z: f64) -> Option<Slope> {
    if points.iter().any(|(x, y)| !(x.is_finite() && y.is_finite())) {
        return None;
    }
    let mut slopes = Vec::with_capacity(points.len() * points.len().saturating_sub(1) / 2);
    for (index, (x, y)) in points.iter().enumerate() {
        let later = points[index + 1..].iter().filter(|(other, _)| other != x);
        slopes.extend(later.map(|(x2, y2)| (y2 - y) / (x2 - x)));
    }
    slopes.sort_by(f64::total_cmp);
    let (pairs, last) = (slopes.len() as f64, slopes.len().checked_sub(1)?);
    let values: Vec<f64> = points.iter().map(|(_, y)| *y).collect();
    let reach = z * variance(&values).sqrt();
    // Ranks are counted from 1: those of the ends are rounded to the nearest, as SciPy does.
    let low = (((pairs - reach) / 2.0).round() - 1.0).max(0.0) as usize;
    let high = (((pairs + reach) / 2.0).round() as usize).min(last);
    let interval = Interval { low: slopes[low.min(last)], high: slopes[high] };
    Some(Slope { slope: median(&slopes)?, interval })
}

/// The test of Mann (1945), "Nonparametric tests against trend", in the form of Kendall (1975),
/// "Rank correlation methods": the standard normal deviate of S, which is how many pairs of values
/// rise less how many fall, with the correction for continuity. Positive where values rise with
/// their place. 0 where all are equal or there are fewer than two.
pub fn mann_kendall(values: &[f64]) -> f64 {
    let mut s = 0.0;
    for (index, value) in values.iter().enumerate() {
        for later in &values[index + 1..] {
            s += f64::from(i8::from(later > value) - i8::from(later < value));
        }
    }
    let variance = variance(values);
    if s == 0.0 || variance <= 0.0 { 0.0 } else { (s - f64::signum(s)) / variance.sqrt() }
}

/// Variance of Kendall's S of values without a trend: `(n(n-1)(2n+5) - Σ t(t-1)(2t+5)) / 18`, over
/// the groups of `t` equal values (Kendall 1975).
fn variance(values: &[f64]) -> f64 {
    let term = |count: usize| {
        let n = count as f64;
        n * (n - 1.0) * (2.0 * n + 5.0)
    };
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let ties: f64 = sorted.chunk_by(|a, b| a == b).map(|group| term(group.len())).sum();
    (term(values.len()) - ties) / 18.0
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn close(found: f64, published: f64) -> bool {
        (found - published).abs() < 0.005
    }

    /// The example of Sen (1968), section 6: slope 4 and, with a confidence of 93%, 26/7 to 35/8.
    #[test]
    fn slope_and_interval_are_those_of_sens_example() {
        let x = [1.0, 2.0, 3.0, 4.0, 10.0, 12.0, 18.0];
        let y = [9.0, 15.0, 19.0, 20.0, 45.0, 55.0, 78.0];
        let points: Vec<(f64, f64)> = x.into_iter().zip(y).collect();
        let found = theil_sen(&points, 1.811_911).expect("a slope");
        assert_eq!(found.slope, 4.0);
        assert!(close(found.interval.low, 26.0 / 7.0) && close(found.interval.high, 35.0 / 8.0));
    }

    /// Hollander and Wolfe, "Nonparametric statistical methods", example 9.1 (cloud seeding): S of
    /// Kendall is -6, the slope -0.05625.
    #[test]
    fn a_falling_series_has_the_published_slope() {
        let y = [1.26, 1.27, 1.12, 1.16, 1.03];
        let points: Vec<(f64, f64)> = (1..=5).map(f64::from).zip(y).collect();
        assert!((theil_sen(&points, Z_95).expect("a slope").slope + 0.05625).abs() < 1e-9);
        let by_hand = -5.0 / (5.0 * 4.0 * 15.0 / 18.0_f64).sqrt();
        assert!((mann_kendall(&y) - by_hand).abs() < 1e-12);
    }

    /// With ties: of 1 2 2 3, five pairs rise and one is equal; Var S is (4·3·13 - 2·1·9) / 18.
    #[test]
    fn equal_values_take_from_the_variance() {
        let by_hand = 4.0 / ((156.0 - 18.0) / 18.0_f64).sqrt();
        assert!((mann_kendall(&[1.0, 2.0, 2.0, 3.0]) - by_hand).abs() < 1e-12);
        assert_eq!(mann_kendall(&[7.0; 9]), 0.0);
    }

    #[test]
    fn what_has_no_slope_gives_none() {
        assert_eq!(theil_sen(&[], Z_95), None);
        assert_eq!(theil_sen(&[(1.0, 2.0)], Z_95), None);
        assert_eq!(theil_sen(&[(1.0, 2.0), (1.0, 3.0)], Z_95), None);
        assert_eq!(theil_sen(&[(1.0, 2.0), (2.0, f64::NAN)], Z_95), None);
        assert_eq!(mann_kendall(&[]), 0.0);
    }

    proptest! {
        #[test]
        fn a_straight_line_has_its_slope(
            slope in -1e3f64..1e3, start in -1e3f64..1e3, count in 5usize..40
        ) {
            let points: Vec<_> =
                (0..count).map(|x| (x as f64, start + slope * x as f64)).collect();
            let found = theil_sen(&points, Z_95).expect("a slope");
            prop_assert!((found.slope - slope).abs() < 1e-6);
            prop_assert!((found.interval.high - found.interval.low).abs() < 1e-6);
        }

        #[test]
        fn the_interval_holds_the_slope_and_turns_with_the_series(
            values in prop::collection::vec(-100i32..100, 3..40)
        ) {
            let points: Vec<_> =
                values.iter().enumerate().map(|(x, y)| (x as f64, f64::from(*y))).collect();
            let turned: Vec<_> = points.iter().map(|(x, y)| (*x, -y)).collect();
            let (found, back) = (
                theil_sen(&points, Z_95).expect("a slope"),
                theil_sen(&turned, Z_95).expect("a slope"),
            );
            prop_assert!(found.interval.holds(found.slope), "{found:?}");
            prop_assert!((found.slope + back.slope).abs() < 1e-9);
            let y: Vec<f64> = points.iter().map(|(_, y)| *y).collect();
            let backwards: Vec<f64> = y.iter().rev().copied().collect();
            prop_assert!((mann_kendall(&y) + mann_kendall(&backwards)).abs() < 1e-9);
        }

        #[test]
        fn one_outlier_moves_nothing(place in 0usize..40, outlier in -1e9f64..1e9) {
            let mut points: Vec<_> = (0..40).map(|x| (f64::from(x), 2.0 * f64::from(x))).collect();
            points[place].1 = outlier;
            prop_assert_eq!(theil_sen(&points, Z_95).expect("a slope").slope, 2.0);
        }
    }
}
