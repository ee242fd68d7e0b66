//! The Universal Scalability Law: throughput against concurrency (Gunther 2007, "Guerrilla Capacity
//! Planning", chapters 4 to 6).

use serde::{Deserialize, Serialize};

use super::bootstrap::{Interval, REPLICATES, chi_square, generator, normal};

/// Fewest different loads to fit to: one more than the law has parameters.
pub const FEWEST_LOADS: usize = 4;

/// The law X(N) = lambda N / (1 + sigma (N - 1) + kappa N (N - 1)).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Law {
    /// Throughput of one user, or worker, alone, per second.
    pub lambda: f64,
    /// Contention: share of the work that only one can do at a time. At least 0.
    pub sigma: f64,
    /// Coherency: what each pair costs by having to agree. At least 0.
    pub kappa: f64,
}

impl Law {
    /// X(N), per second.
    pub fn throughput(&self, n: f64) -> f64 {
        let Law { lambda, sigma, kappa } = self;
        lambda * n / (1.0 + sigma * (n - 1.0) + kappa * n * (n - 1.0))
    }

    /// N* = sqrt((1 - sigma) / kappa), beyond which throughput falls; infinite where it never does.
    pub fn peak(&self) -> f64 {
        if self.kappa > 0.0 {
            // With more contention than work, the first is the best.
            ((1.0 - self.sigma).max(0.0) / self.kappa).sqrt().max(1.0)
        } else {
            f64::INFINITY
        }
    }

    /// What throughput comes to with any N: lambda / sigma where there is no coherency, X(N*) where
    /// there is; infinite where there is neither.
    pub fn ceiling(&self) -> f64 {
        match (self.kappa > 0.0, self.sigma > 0.0) {
            (true, _) => self.throughput(self.peak()),
            (false, true) => self.lambda / self.sigma,
            (false, false) => f64::INFINITY,
        }
    }
}

/// The law as fitted to measured points.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Fit {
    /// The best law.
    pub law: Law,
    /// 95% interval of lambda.
    pub lambda: Interval,
    /// 95% interval of sigma.
    pub sigma: Interval,
    /// 95% interval of kappa.
    pub kappa: Interval,
    /// 95% interval of N*.
    pub peak: Interval,
    /// Share of the variance of throughput that the law explains; below 0 where it explains less
    /// than the mean does. `None` where all throughputs are the same.
    pub r_squared: Option<f64>,
    /// Largest distance of a point from the law, as a share of what the law says.
    pub worst_residual: f64,
    /// Points that it was fitted to.
    pub points: usize,
}

/// Fits the law to `points` (N, throughput), the trials of a load as points of their own.
///
/// Minimises the sum of ((X - X(N)) / X(N))^2 with lambda > 0, sigma >= 0, kappa >= 0: errors of
/// throughput are about proportional to it. In 1 / lambda, sigma / lambda and kappa / lambda this is
/// a linear problem, solved exactly by trying each set of active bounds; no iteration, no start value.
///
/// Intervals: parametric bootstrap (Efron and Tibshirani 1993, section 6.5) with percentile
/// intervals. Each replicate draws the noise's variance anew from s^2 v / chi-square(v), v points less
/// parameters, as a t interval does, so that few points give wide intervals.
///
/// # Errors
///
/// Says why there is no fit: fewer than [`FEWEST_LOADS`] different loads, a load below 1, no throughput.
pub fn fit(points: &[(f64, f64)], seed: u64) -> Result<Fit, String> {
    let mut loads: Vec<f64> = points.iter().map(|(n, _)| *n).collect();
    loads.sort_by(f64::total_cmp);
    loads.dedup();
    if loads.len() < FEWEST_LOADS {
        return Err(format!(
            "{} different valid points, and the law's three parameters need at least {FEWEST_LOADS}",
            loads.len()
        ));
    }
    if loads[0] < 1.0 || points.iter().any(|(_, x)| !x.is_finite() || *x <= 0.0) {
        return Err("the law needs loads of at least 1, and throughput at each".to_owned());
    }
    let law = best(points).ok_or("no law with a throughput above 0 comes near the points")?;
    let relative = |(n, x): &(f64, f64)| x / law.throughput(*n) - 1.0;
    let freedom = points.len() - 3;
    let variance = points.iter().map(|point| relative(point).powi(2)).sum::<f64>() / freedom as f64;
    let mut random = generator(seed);
    let replicates: Vec<Law> = (0..REPLICATES)
        .filter_map(|_| {
            let scale = (variance * freedom as f64 / chi_square(&mut random, freedom)).sqrt();
            // A throughput is above 0, however wide the noise.
            let again = |(n, _): &(f64, f64)| {
                (*n, law.throughput(*n) * (1.0 + scale * normal(&mut random)).max(0.01))
            };
            let again: Vec<_> = points.iter().map(again).collect();
            best(&again)
        })
        .collect();
    let interval = |of: fn(&Law) -> f64| {
        let estimates: Vec<f64> = replicates.iter().map(of).collect();
        let own = of(&law);
        Interval::of_percentiles(&estimates).unwrap_or(Interval { low: own, high: own })
    };
    let mean = points.iter().map(|(_, x)| x).sum::<f64>() / points.len() as f64;
    let around = |centre: &dyn Fn(f64) -> f64| -> f64 {
        points.iter().map(|(n, x)| (x - centre(*n)).powi(2)).sum()
    };
    let (explained, all) = (around(&|n| law.throughput(n)), around(&|_| mean));
    Ok(Fit {
        law,
        lambda: interval(|law| law.lambda),
        sigma: interval(|law| law.sigma),
        kappa: interval(|law| law.kappa),
        peak: interval(Law::peak),
        r_squared: (all > 0.0).then(|| 1.0 - explained / all),
        worst_residual: points.iter().map(|point| relative(point).abs()).fold(0.0, f64::max),
        points: points.len(),
    })
}

/// The law with the smallest sum of squares among those with each set of parameters held at 0.
fn best(points: &[(f64, f64)]) -> Option<Law> {
    // X / X(N) = X / N (a + b (N - 1) + c N (N - 1)) should be 1.
    let rows: Vec<[f64; 3]> =
        points.iter().map(|&(n, x)| [x / n, x / n * (n - 1.0), x * (n - 1.0)]).collect();
    let candidates = [[true, true, true], [true, true, false], [true, false, true]];
    let candidates = candidates.into_iter().chain([[true, false, false]]);
    let solved = candidates.filter_map(|free| {
        let [a, b, c] = least_squares(&rows, free)?;
        if a <= 0.0 || b < 0.0 || c < 0.0 {
            return None;
        }
        let off = |row: &[f64; 3]| (1.0 - a * row[0] - b * row[1] - c * row[2]).powi(2);
        let sum: f64 = rows.iter().map(off).sum();
        Some((sum, Law { lambda: 1.0 / a, sigma: b / a, kappa: c / a }))
    });
    solved.min_by(|(left, _), (right, _)| left.total_cmp(right)).map(|(_, law)| law)
}

/// Solves `rows` times the answer = 1 by least squares, with what is not `free` held at 0: normal
/// equations with columns of length 1, by elimination with pivoting. `None` where they are singular.
fn least_squares(rows: &[[f64; 3]], free: [bool; 3]) -> Option<[f64; 3]> {
    let length = |column: usize| rows.iter().map(|row| row[column].powi(2)).sum::<f64>().sqrt();
    let lengths = [length(0), length(1), length(2)];
    let scaled = |row: &[f64; 3], column: usize| row[column] / lengths[column];
    let mut system = [[0.0; 4]; 3];
    for (i, line) in system.iter_mut().enumerate() {
        if !free[i] {
            line[i] = 1.0;
            continue;
        }
        for j in (0..3).filter(|j| free[*j]) {
            line[j] = rows.iter().map(|row| scaled(row, i) * scaled(row, j)).sum();
        }
        line[3] = rows.iter().map(|row| scaled(row, i)).sum();
    }
    for column in 0..3 {
        let pivot = (column..3)
            .max_by(|a, b| system[*a][column].abs().total_cmp(&system[*b][column].abs()))?;
        system.swap(column, pivot);
        let head = system[column];
        if head[column].abs().total_cmp(&1e-12).is_lt() || !head[column].is_finite() {
            return None;
        }
        for (i, line) in system.iter_mut().enumerate() {
            if i != column {
                let factor = line[column] / head[column];
                line.iter_mut().zip(head).for_each(|(value, of_head)| *value -= factor * of_head);
            }
        }
    }
    let answer = |i: usize| if free[i] { system[i][3] / system[i][i] / lengths[i] } else { 0.0 };
    Some([answer(0), answer(1), answer(2)])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const LOADS: [f64; 7] = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0];

    fn points(law: &Law, loads: &[f64]) -> Vec<(f64, f64)> {
        loads.iter().map(|n| (*n, law.throughput(*n))).collect()
    }

    fn near(found: f64, truth: f64, of: f64) -> bool {
        (found - truth).abs() <= 1e-6 * truth.abs().max(of)
    }

    proptest! {
        #[test]
        fn exact_points_give_back_the_law(
            lambda in 0.1f64..1e4, sigma in 0.0f64..0.5, kappa in 0.0f64..0.01
        ) {
            let truth = Law { lambda, sigma, kappa };
            let found = fit(&points(&truth, &LOADS), 1).expect("enough points");
            prop_assert!(near(found.law.lambda, lambda, lambda), "{found:?}");
            prop_assert!(near(found.law.sigma, sigma, 0.1), "{found:?}");
            prop_assert!(near(found.law.kappa, kappa, 0.01), "{found:?}");
            prop_assert!(found.worst_residual < 1e-6);
        }
    }

    #[test]
    fn intervals_cover_the_truth() {
        let truth = Law { lambda: 40.0, sigma: 0.06, kappa: 0.0006 };
        for loads in [&LOADS[..], &[1.0, 5.0, 10.0, 20.0, 40.0], &[1.0, 10.0, 30.0, 60.0]] {
            let mut covered = [0u32; 3];
            let seeds = 200;
            for seed in 0..seeds {
                let mut random = generator(1000 + seed);
                let noisy: Vec<_> = points(&truth, loads)
                    .into_iter()
                    .map(|(n, x)| (n, x * (1.0 + 0.03 * normal(&mut random))))
                    .collect();
                let found = fit(&noisy, seed).expect("enough points");
                covered[0] += u32::from(found.lambda.holds(truth.lambda));
                covered[1] += u32::from(found.sigma.holds(truth.sigma));
                covered[2] += u32::from(found.kappa.holds(truth.kappa));
            }
            assert!(covered.iter().all(|c| u64::from(*c) * 10 >= seeds * 9), "{covered:?}");
        }
    }

    #[test]
    fn the_peak_is_where_throughput_is_highest() {
        let law = Law { lambda: 10.0, sigma: 0.05, kappa: 0.002 };
        let (peak, at) = (law.peak(), |n: f64| law.throughput(n));
        assert!((peak - (0.95f64 / 0.002).sqrt()).abs() < 1e-9);
        assert!(at(peak) > at(peak - 1.0) && at(peak) > at(peak + 1.0));
        let level = Law { kappa: 0.0, ..law };
        assert_eq!((level.peak(), level.ceiling()), (f64::INFINITY, 200.0));
    }

    #[test]
    fn a_steep_gain_is_no_negative_contention() {
        let faster: Vec<_> = LOADS.iter().map(|n| (*n, n * n.powf(0.1))).collect();
        let found = fit(&faster, 1).expect("enough points");
        assert_eq!((found.law.sigma, found.law.kappa), (0.0, 0.0));
    }

    #[test]
    fn too_few_points_are_not_fitted() {
        let few = [(1.0, 10.0), (2.0, 19.0), (2.0, 18.0), (4.0, 30.0)];
        assert!(fit(&few, 1).is_err_and(|why| why.starts_with("3 different")));
        assert!(fit(&[], 1).is_err());
        let dead = [(1.0, 10.0), (2.0, 0.0), (3.0, 18.0), (4.0, 30.0)];
        assert!(fit(&dead, 1).is_err());
    }
}
