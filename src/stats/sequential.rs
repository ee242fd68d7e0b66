//! Looking at data while they come in, and stopping early, without more false alarms than promised.

use super::normal;

/// Shape of the spending, by Hwang, Shih and DeCani (1990), "Group sequential designs using a family
/// of type I error probability spending functions": below 0, little is spent early. At -2, looks at a
/// third and two thirds spend 13% and 44% of the error.
const GAMMA: f64 = -2.0;
/// Points of the grid on which densities are integrated; even.
const POINTS: usize = 240;
/// How many standard deviations below its mean the grid begins.
const REACH: f64 = 8.0;

/// The share of an error that may be spent by the time that the share `t` of the data is there.
fn spent(t: f64, gamma: f64) -> f64 {
    ((-gamma * t).exp_m1() / (-gamma).exp_m1()).clamp(0.0, 1.0)
}

/// The one-sided level at which to test at each look, so that the chance to reject what is true at any
/// of them is at most `error`, whatever number of looks is taken. `shares` are the shares of all data
/// that are there at each look: rising, the last at most 1.
///
/// The sums of normal data at looks are a Brownian motion; its density below the bounds so far is
/// carried from look to look by numerical integration (Armitage, McPherson and Rowe 1969), and each
/// bound is where what leaves is what may be spent there. The levels are those of the normal bounds,
/// and may be used with Student's t (Jennison and Turnbull 2000, "Group Sequential Methods", section
/// 3.4 and 11.4).
pub fn levels(error: f64, shares: &[f64]) -> Vec<f64> {
    levels_of(error, shares, GAMMA)
}

fn levels_of(error: f64, shares: &[f64], gamma: f64) -> Vec<f64> {
    let mut levels = Vec::with_capacity(shares.len());
    let mut state: Option<State> = None;
    let mut before = 0.0;
    for &share in shares {
        let leaves = (error * (spent(share, gamma) - before)).max(f64::MIN_POSITIVE);
        before = spent(share, gamma);
        let z = match &state {
            None => normal::quantile(1.0 - leaves),
            Some(state) => state.bound(share, leaves),
        };
        levels.push(normal::above(z));
        state = Some(match state {
            None => State::first(share, z),
            Some(state) => state.next(share, z),
        });
    }
    levels
}

/// Where the sum is, and has not left so far: masses at points.
struct State {
    share: f64,
    points: Vec<(f64, f64)>,
}

impl State {
    /// After the first look, at `share`, with the bound `z`.
    fn first(share: f64, z: f64) -> State {
        State { share, points: grid(share, z, |b| density(b, share)) }
    }

    /// After the next one.
    fn next(&self, share: f64, z: f64) -> State {
        let variance = share - self.share;
        let at = |b: f64| self.points.iter().map(|(x, mass)| mass * density(b - x, variance)).sum();
        State { share, points: grid(share, z, at) }
    }

    /// The mass that lies above `z` at `share`.
    fn leaves(&self, share: f64, z: f64) -> f64 {
        let deviation = (share - self.share).sqrt();
        let bound = z * share.sqrt();
        self.points.iter().map(|(x, mass)| mass * normal::above((bound - x) / deviation)).sum()
    }

    /// The bound above which the mass `wanted` lies at `share`, by bisection.
    fn bound(&self, share: f64, wanted: f64) -> f64 {
        let (mut low, mut high) = (-REACH, REACH);
        for _ in 0..60 {
            let middle = (low + high) / 2.0;
            match self.leaves(share, middle) > wanted {
                true => low = middle,
                false => high = middle,
            }
        }
        (low + high) / 2.0
    }
}

fn density(x: f64, variance: f64) -> f64 {
    (-x * x / (2.0 * variance)).exp() / (std::f64::consts::TAU * variance).sqrt()
}

/// Masses from far below up to the bound `z`, by Simpson's rule.
fn grid(share: f64, z: f64, density: impl Fn(f64) -> f64) -> Vec<(f64, f64)> {
    let deviation = share.sqrt();
    let (low, high) = (-REACH * deviation, z * deviation);
    let step = (high - low) / POINTS as f64;
    let point = |index: usize| {
        let weight = match index {
            0 | POINTS => 1.0,
            odd if odd % 2 == 1 => 4.0,
            _ => 2.0,
        };
        let x = low + step * index as f64;
        (x, weight * step / 3.0 * density(x))
    };
    (0..=POINTS).map(point).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::bootstrap::{generator, normal};
    use crate::stats::student;

    #[test]
    fn one_look_spends_everything() {
        let [level] = levels(0.01, &[1.0])[..] else { panic!("one look") };
        assert!((level - 0.01).abs() < 1e-7, "{level}");
    }

    #[test]
    fn bounds_are_those_of_the_published_design() {
        // Three equal looks at 2.5%, gamma -4: the default of the R package gsDesign.
        let thirds = [1.0 / 3.0, 2.0 / 3.0, 1.0];
        let bounds = levels_of(0.025, &thirds, -4.0).into_iter().map(|p| -normal::quantile(p));
        for (found, exact) in bounds.zip([3.010_7, 2.546_5, 1.999_2]) {
            assert!((found - exact).abs() < 2e-3, "{found}, published {exact}");
        }
    }

    #[test]
    fn looks_that_were_not_taken_cost_nothing() {
        let whole = levels(0.05, &[0.3, 0.4, 0.5]);
        let part = levels(0.05, &[0.3, 0.4]);
        assert_eq!(whole[..2], part[..]);
        assert!(whole.iter().all(|level| *level < 0.05));
    }

    /// Of 20,000 series of rounds without any effect, with looks after 6, 8, … 20 of them: how many are
    /// ever rejected by Student's t.
    #[test]
    fn false_alarms_are_as_many_as_promised() {
        let looks: Vec<usize> = (6..=20).step_by(2).collect();
        let shares: Vec<f64> = looks.iter().map(|n| *n as f64 / 20.0).collect();
        let (error, series) = (0.05, 20_000);
        let levels = levels(error, &shares);
        let mut random = generator(11);
        let mut rejected = 0;
        for _ in 0..series {
            let rounds: Vec<f64> = (0..20).map(|_| normal(&mut random)).collect();
            let is_rejected = looks.iter().zip(&levels).any(|(n, level)| {
                let (count, part) = (*n as f64, &rounds[..*n]);
                let mean = part.iter().sum::<f64>() / count;
                let squares = part.iter().map(|x| (x - mean).powi(2)).sum::<f64>();
                let error = (squares / (count - 1.0) / count).sqrt();
                student::above(mean / error, count - 1.0) < *level
            });
            rejected += usize::from(is_rejected);
        }
        let rate = rejected as f64 / f64::from(series);
        // Two standard errors of the rate are 0.3 points.
        assert!((rate - error).abs() < 0.005, "{rate}");
    }
}
