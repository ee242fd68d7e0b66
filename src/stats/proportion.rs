//! Shares of things that happen or do not.

use super::bootstrap::Interval;
use super::slope::Z_95;

/// Where the true share of `hits` in `of` lies: Wilson (1927), which holds for few hits, and none.
fn wilson(hits: f64, of: f64) -> Interval {
    let (p, z2) = (hits / of, Z_95 * Z_95);
    let middle = (p + z2 / (2.0 * of)) / (1.0 + z2 / of);
    let reach = Z_95 / (1.0 + z2 / of) * (p * (1.0 - p) / of + z2 / (4.0 * of * of)).sqrt();
    Interval { low: (middle - reach).max(0.0), high: (middle + reach).min(1.0) }
}

/// The second share less the first, each as hits and out of how many: Newcombe (1998), "Interval
/// estimation for the difference between independent proportions", method 10. It takes each hit as
/// independent of the others. `None` where either is of nothing.
pub fn difference(first: (f64, f64), second: (f64, f64)) -> Option<Interval> {
    if first.1 <= 0.0 || second.1 <= 0.0 {
        return None;
    }
    let (a, b) = (wilson(first.0, first.1), wilson(second.0, second.1));
    let (p, q) = (first.0 / first.1, second.0 / second.1);
    let reach = |x: f64, y: f64| x.hypot(y);
    Some(Interval {
        low: q - p - reach(q - b.low, a.high - p),
        high: q - p + reach(b.high - q, p - a.low),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn differences_are_those_of_newcombes_examples() {
        // His table II, method 10: 56/70 less 48/80, and 9/10 less 3/10.
        let of = |second, first| difference(first, second).expect("something");
        let found = of((56.0, 70.0), (48.0, 80.0));
        assert!(
            (found.low - 0.0524).abs() < 1e-4 && (found.high - 0.3339).abs() < 1e-4,
            "{found:?}"
        );
        let found = of((9.0, 10.0), (3.0, 10.0));
        assert!(
            (found.low - 0.1705).abs() < 1e-4 && (found.high - 0.8090).abs() < 1e-4,
            "{found:?}"
        );
        let none = of((0.0, 300.0), (0.0, 300.0));
        assert!(none.holds(0.0) && none.high > 0.01 && none.high < 0.02, "{none:?}");
        assert_eq!(difference((0.0, 0.0), (1.0, 2.0)), None);
    }
}
