//! The straight line through points whose errors are alike.

use super::bootstrap::Interval;
use super::slope::Slope;
use super::student::t_95;

/// The slope of least squares, with its 95% interval by Student's t of `n - 2` degrees of freedom: see
/// Draper and Smith, "Applied Regression Analysis", section 1.4. It takes errors as independent and
/// alike; it says more of few points than ranks can. `None` of fewer than three points, or where all
/// have the same `x`.
pub fn least_squares(points: &[(f64, f64)]) -> Option<Slope> {
    let n = points.len() as f64;
    if points.len() < 3 {
        return None;
    }
    let sum = |of: &dyn Fn(&(f64, f64)) -> f64| points.iter().map(of).sum::<f64>();
    let (mean_x, mean_y) = (sum(&|p| p.0) / n, sum(&|p| p.1) / n);
    let squares = sum(&|p| (p.0 - mean_x).powi(2));
    if squares <= 0.0 {
        return None;
    }
    let slope = sum(&|p| (p.0 - mean_x) * (p.1 - mean_y)) / squares;
    let rest = sum(&|p| (p.1 - mean_y - slope * (p.0 - mean_x)).powi(2));
    let reach = t_95(n - 2.0) * (rest / (n - 2.0) / squares).sqrt();
    Some(Slope { slope, interval: Interval { low: slope - reach, high: slope + reach } })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_interval_holds_what_student_says_of_five_points() {
        let points = [(1.0, 2.0), (2.0, 4.0), (3.0, 5.0), (4.0, 4.0), (5.0, 5.0)];
        let found = least_squares(&points).expect("a line");
        // Sum of squares of the rest 2.4, of x 10: error of the slope sqrt(2.4 / 3 / 10); t of 3 is 3.182.
        let reach = 3.182 * (2.4_f64 / 3.0 / 10.0).sqrt();
        assert!((found.slope - 0.6).abs() < 1e-9);
        assert!((found.interval.high - 0.6 - reach).abs() < 1e-3, "{found:?}");
        assert!((found.interval.low - 0.6 + reach).abs() < 1e-3, "{found:?}");
        assert_eq!(least_squares(&points[..2]), None);
        assert_eq!(least_squares(&[(1.0, 2.0); 4]), None);
    }
}
