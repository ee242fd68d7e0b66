//! Bootstrap intervals: how far an estimate would move if the same was measured again.

use rand::{Rng, RngExt, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;
use serde::{Deserialize, Serialize};

use super::order::quantile;

/// Estimates that an interval is read from: enough for the second digit of a 95% interval (Efron and
/// Tibshirani 1993, section 19.3).
pub const REPLICATES: usize = 2000;

/// Where a true value lies with 95% confidence. An end may be infinite.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Interval {
    /// Lower end.
    pub low: f64,
    /// Upper end; infinite where nothing bounds it.
    pub high: f64,
}

impl Interval {
    /// Whether `value` lies in it.
    pub fn holds(&self, value: f64) -> bool {
        (self.low..=self.high).contains(&value)
    }

    /// The middle 95% of `estimates`: the percentile interval of Efron and Tibshirani (1993), "An
    /// Introduction to the Bootstrap", section 13.3. `None` where there are none.
    pub fn of_percentiles(estimates: &[f64]) -> Option<Interval> {
        Some(Interval { low: quantile(estimates, 0.025)?, high: quantile(estimates, 0.975)? })
    }
}

/// The generator of a bootstrap: the same seed gives the same interval.
pub fn generator(seed: u64) -> Xoshiro256PlusPlus {
    Xoshiro256PlusPlus::seed_from_u64(seed)
}

/// A standard normal variate (Box and Muller 1958).
pub fn normal(generator: &mut impl Rng) -> f64 {
    // From (0, 1], for the logarithm of 0 is not finite.
    let (u, v) = (1.0 - generator.random::<f64>(), generator.random::<f64>());
    (-2.0 * u.ln()).sqrt() * (std::f64::consts::TAU * v).cos()
}

/// A chi-square variate with `freedom` degrees of freedom: a sum of that many squared normal ones.
pub fn chi_square(generator: &mut impl Rng, freedom: usize) -> f64 {
    (0..freedom).map(|_| normal(generator).powi(2)).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variates_have_their_moments() {
        let mut random = generator(1);
        let n = 20_000;
        let normals: Vec<f64> = (0..n).map(|_| normal(&mut random)).collect();
        let mean = normals.iter().sum::<f64>() / n as f64;
        let variance = normals.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / n as f64;
        assert!(mean.abs() < 0.03 && (variance - 1.0).abs() < 0.05, "{mean} {variance}");
        let squares = (0..n).map(|_| chi_square(&mut random, 3)).sum::<f64>() / n as f64;
        assert!((squares - 3.0).abs() < 0.1, "{squares}");
    }

    #[test]
    fn the_interval_is_the_middle_of_the_estimates() {
        let estimates: Vec<f64> = (0..=1000).map(f64::from).collect();
        let interval = Interval::of_percentiles(&estimates).expect("estimates");
        assert_eq!((interval.low, interval.high), (25.0, 975.0));
        assert!(interval.holds(500.0) && !interval.holds(10.0));
        assert_eq!(Interval::of_percentiles(&[]), None);
    }
}
