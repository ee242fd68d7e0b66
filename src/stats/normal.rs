//! The normal distribution.

/// The share of a standard normal variate below `z`: Abramowitz and Stegun (1964), "Handbook of
/// Mathematical Functions", 26.2.17, within 7.5e-8.
pub fn below(z: f64) -> f64 {
    let t = 1.0 / (1.0 + 0.231_641_9 * z.abs());
    let polynomial = [0.319_381_530, -0.356_563_782, 1.781_477_937, -1.821_255_978, 1.330_274_429]
        .iter()
        .rev()
        .fold(0.0, |sum, factor| (sum + factor) * t);
    let density = (-z * z / 2.0).exp() / std::f64::consts::TAU.sqrt();
    let above = density * polynomial;
    if z >= 0.0 { 1.0 - above } else { above }
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
        }
    }
}
