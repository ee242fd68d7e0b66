//! The normal distribution.

use statrs::distribution::{ContinuousCDF, Normal};

/// Mean 0, standard deviation 1.
fn standard() -> Normal {
    Normal::standard()
}

/// The share of a standard normal variate below `z`.
pub fn below(z: f64) -> f64 {
    standard().cdf(z)
}

/// The share above `z`, exact far out as well.
pub fn above(z: f64) -> f64 {
    standard().sf(z)
}

/// The value below which the share `p` (above 0, below 1) lies.
pub fn quantile(p: f64) -> f64 {
    standard().inverse_cdf(p)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_those_of_the_tables() {
        let known = [
            (0.0, 0.5),
            (1.0, 0.841_344_7),
            (-1.0, 0.158_655_3),
            (1.959_964, 0.975),
            (-3.0, 0.001_349_9),
        ];
        for (z, exact) in known {
            assert!((below(z) - exact).abs() < 2e-7, "{} for {z}", below(z));
            assert!((above(-z) - exact).abs() < 2e-7, "{} for {z}", above(-z));
            assert!((quantile(exact) - z).abs() < 1e-4, "{} for {exact}", quantile(exact));
        }
    }
}
