//! Student's t.

use statrs::distribution::{ContinuousCDF, StudentsT};

/// The distribution with `freedom` degrees of freedom, whole or not; fewer than one count as one.
fn of(freedom: f64) -> StudentsT {
    let freedom = freedom.max(1.0);
    StudentsT::new(0.0, 1.0, freedom).expect("invariant: the scale and the freedom are above 0")
}

/// The share of the distribution above `t`: the p-value of a one-sided test. 1 where `t` is no number.
pub fn above(t: f64, freedom: f64) -> f64 {
    match t.is_nan() {
        true => 1.0,
        false if t == f64::INFINITY => 0.0,
        false if t == f64::NEG_INFINITY => 1.0,
        false => of(freedom).sf(t),
    }
}

/// The value below which the share `p` (above 0, below 1) of the distribution lies.
pub fn quantile(p: f64, freedom: f64) -> f64 {
    of(freedom).inverse_cdf(p)
}

/// The quantile of a two-sided 95% interval.
pub fn t_95(freedom: f64) -> f64 {
    quantile(0.975, freedom)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_those_of_the_tables() {
        let known = [
            (1.0, 12.706_2),
            (2.0, 4.302_7),
            (3.0, 3.182_4),
            (4.0, 2.776_4),
            (7.0, 2.364_6),
            (12.0, 2.178_8),
            (30.0, 2.042_3),
            (1e6, 1.959_97),
        ];
        for (freedom, exact) in known {
            let found = t_95(freedom);
            assert!((found - exact).abs() < 2e-4, "{found} for {freedom}, exactly {exact}");
        }
        let mut rising = (10..400).map(|tenths| t_95(f64::from(tenths) / 10.0)).collect::<Vec<_>>();
        rising.reverse();
        assert!(rising.is_sorted(), "fewer degrees of freedom, a larger quantile: {rising:?}");
    }

    #[test]
    fn what_lies_above_a_quantile_is_the_rest() {
        for freedom in [1.0, 5.0, 19.0, 300.0] {
            for p in [1e-5, 1e-3, 0.05, 0.3, 0.5, 0.8, 0.99] {
                let above = above(quantile(1.0 - p, freedom), freedom);
                assert!((above / p - 1.0).abs() < 1e-6, "{above} for {p}, {freedom}");
            }
        }
        assert_eq!(above(f64::NAN, 5.0), 1.0);
        assert_eq!((above(f64::INFINITY, 5.0), above(f64::NEG_INFINITY, 5.0)), (0.0, 1.0));
    }
}
