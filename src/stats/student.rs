//! Student's t.

use super::slope::Z_95;

/// The quantile of Student's t of a two-sided 95% interval, for `freedom` (at least 1) degrees of
/// freedom, whole or not: Hill (1970), "Algorithm 396: Student's t-quantiles", within 1e-3 of the
/// exact value.
pub fn t_95(freedom: f64) -> f64 {
    let (n, p) = (freedom.max(1.0), 0.05);
    if n == 1.0 {
        let half: f64 = p * std::f64::consts::FRAC_PI_2;
        return half.cos() / half.sin();
    }
    if n == 2.0 {
        return (2.0 / (p * (2.0 - p)) - 2.0).sqrt();
    }
    let a = 1.0 / (n - 0.5);
    let b = 48.0 / (a * a);
    let mut c = ((20_700.0 * a / b - 98.0) * a - 16.0) * a + 96.36;
    let d = ((94.5 / (b + c) - 3.0) / b + 1.0) * (a * std::f64::consts::FRAC_PI_2).sqrt() * n;
    let mut y = (d * p).powf(2.0 / n);
    if y > 0.05 + a {
        let x = -Z_95;
        y = x * x;
        if n < 5.0 {
            c += 0.3 * (n - 4.5) * (x + 0.6);
        }
        c += (((0.05 * d * x - 5.0) * x - 7.0) * x - 2.0) * x + b;
        y = (((((0.4 * y + 6.3) * y + 36.0) * y + 94.5) / c - y - 3.0) / b + 1.0) * x;
        y = (a * y * y).exp_m1();
    } else {
        let rest = ((n + 6.0) / (n * y) - 0.089 * d - 0.822) * (n + 2.0) * 3.0;
        y = ((1.0 / rest + 0.5 / (n + 4.0)) * y - 1.0) * (n + 1.0) / (n + 2.0) + 1.0 / y;
    }
    (n * y).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_those_of_the_tables() {
        let known = [
            (1.0, 12.7062),
            (2.0, 4.3027),
            (3.0, 3.1824),
            (4.0, 2.7764),
            (7.0, 2.3646),
            (12.0, 2.1788),
            (30.0, 2.0423),
            (1e6, 1.95997),
        ];
        for (freedom, exact) in known {
            let found = t_95(freedom);
            assert!((found - exact).abs() < 2e-3, "{found} for {freedom}, exactly {exact}");
        }
        let mut rising = (10..400).map(|tenths| t_95(f64::from(tenths) / 10.0)).collect::<Vec<_>>();
        rising.reverse();
        assert!(rising.is_sorted(), "fewer degrees of freedom, a larger quantile: {rising:?}");
    }
}
