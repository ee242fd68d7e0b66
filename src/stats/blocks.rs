//! Block bootstrap: how far a statistic of measurements in time would move if they were made again.
//! Neighbours in time share what disturbs them, so that stretches of time are drawn, and not single
//! values.

use rand::{Rng, RngExt};

use super::bootstrap::generator;

/// Estimates that a standard error is made from: 200 are enough (Efron and Tibshirani 1993, section
/// 6.4), and these make it repeatable to about 3%.
pub const REPLICATES: usize = 500;
/// Runs are drawn, and not only stretches of time within them, from this many on: of two runs nothing
/// can be said about how runs differ.
pub const FEWEST_RUNS: usize = 3;
/// Fewer blocks than this say nothing about how blocks differ.
pub const FEWEST_BLOCKS: f64 = 3.0;
/// Length of a block over the cube root of the length of the series.
const LENGTH: f64 = 1.5;
/// An error is made from the replicates in which the statistic exists, if that is nearly all of them.
const FEWEST_FINITE: f64 = 0.95;

/// What is drawn from: runs, each a row of cells in the order of time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    /// Cells of each run.
    pub runs: Vec<usize>,
    /// Cells that are drawn together.
    pub block: usize,
}

impl Layout {
    /// Runs with these numbers of cells, in blocks that grow with the cube root of the mean of them, as
    /// Künsch (1989) and Hall, Horowitz and Jing (1995) have it for variances: one and a half times
    /// that, for noise that lasts for some seconds; no shorter than `shortest` cells.
    pub fn of(runs: Vec<usize>, shortest: usize) -> Layout {
        let mean = runs.iter().sum::<usize>() as f64 / runs.len().max(1) as f64;
        Layout { runs, block: ((LENGTH * mean.cbrt()).round() as usize).max(shortest).max(1) }
    }

    /// `count` units without an inner order, such as runs with one value each.
    pub fn of_units(count: usize) -> Layout {
        Layout { runs: vec![1; count], block: 1 }
    }

    /// Whether runs are drawn.
    pub fn draws_runs(&self) -> bool {
        self.runs.len() >= FEWEST_RUNS
    }

    /// Independent units: runs where they are drawn, else blocks.
    pub fn units(&self) -> f64 {
        match self.draws_runs() {
            true => self.runs.len() as f64,
            false => self.runs.iter().sum::<usize>() as f64 / self.block as f64,
        }
    }

    /// Whether there are enough of them to say how they differ.
    pub fn is_enough(&self) -> bool {
        self.draws_runs() || self.units() >= FEWEST_BLOCKS
    }

    /// How often each cell is drawn, in `weights`: runs with replacement, where there are enough, and
    /// in each of them circular blocks (Politis and Romano 1992).
    fn draw(&self, random: &mut impl Rng, weights: &mut [u32]) {
        weights.fill(0);
        let ends: Vec<usize> = self
            .runs
            .iter()
            .scan(0, |end, cells| {
                *end += cells;
                Some(*end)
            })
            .collect();
        for place in 0..self.runs.len() {
            let run = match self.draws_runs() {
                true => random.random_range(0..self.runs.len()),
                false => place,
            };
            let (cells, first) = (self.runs[run], ends[run] - self.runs[run]);
            let mut drawn = 0;
            while drawn < cells {
                let begin = random.random_range(0..cells);
                for cell in (0..self.block).take(cells - drawn) {
                    weights[first + (begin + cell) % cells] += 1;
                }
                drawn += self.block;
            }
        }
    }
}

/// Standard errors of the figures that `statistic` makes of how often each cell was drawn: deviations
/// over replicates, times `√(m / (m - 1))` for `m` units, by which a bootstrap of few units falls short
/// (Hesterberg 2015, "What teachers should know about the bootstrap"). `None` for a figure that is not
/// finite in more than one replicate of twenty, and for all where there are too few units.
pub fn standard_errors(
    layout: &Layout,
    seed: u64,
    mut statistic: impl FnMut(&[u32]) -> Vec<f64>,
) -> Vec<Option<f64>> {
    let mut weights = vec![1; layout.runs.iter().sum()];
    let figures = statistic(&weights).len();
    if !layout.is_enough() {
        return vec![None; figures];
    }
    let mut random = generator(seed);
    let mut all: Vec<Vec<f64>> = vec![Vec::with_capacity(REPLICATES); figures];
    for _ in 0..REPLICATES {
        layout.draw(&mut random, &mut weights);
        for (seen, figure) in all.iter_mut().zip(statistic(&weights)) {
            if figure.is_finite() {
                seen.push(figure);
            }
        }
    }
    let units = layout.units();
    let few_units = (units / (units - 1.0)).sqrt();
    all.iter().map(|seen| deviation(seen).map(|deviation| deviation * few_units)).collect()
}

/// Share of replicates in which `holds` holds, given how often each cell was drawn; `None` where there
/// are too few units to say how they differ.
pub fn share_of_replicates(
    layout: &Layout,
    seed: u64,
    mut holds: impl FnMut(&[u32]) -> bool,
) -> Option<f64> {
    if !layout.is_enough() {
        return None;
    }
    let mut weights = vec![1; layout.runs.iter().sum()];
    let mut random = generator(seed);
    let mut held = 0;
    for _ in 0..REPLICATES {
        layout.draw(&mut random, &mut weights);
        held += usize::from(holds(&weights));
    }
    Some(held as f64 / REPLICATES as f64)
}

fn deviation(seen: &[f64]) -> Option<f64> {
    if (seen.len() as f64) < FEWEST_FINITE * REPLICATES as f64 {
        return None;
    }
    let n = seen.len() as f64;
    let mean = seen.iter().sum::<f64>() / n;
    Some((seen.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / (n - 1.0)).sqrt())
}

/// Degrees of freedom of a difference of two figures with these standard errors and units each: Welch
/// (1947) and Satterthwaite (1946).
pub fn welch_freedom(errors: [f64; 2], units: [f64; 2]) -> f64 {
    let [a, b] = errors.map(|error| error * error);
    let [m, n] = units.map(|units| (units - 1.0).max(1.0));
    let parts = a * a / m + b * b / n;
    if parts > 0.0 { (a + b).powi(2) / parts } else { m + n }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::bootstrap::normal;

    fn mean_error(values: &[f64], layout: &Layout) -> f64 {
        let mean = |weights: &[u32]| {
            let sum: f64 = values.iter().zip(weights).map(|(v, w)| v * f64::from(*w)).sum();
            vec![sum / weights.iter().sum::<u32>() as f64]
        };
        standard_errors(layout, 1, mean)[0].expect("enough")
    }

    #[test]
    fn the_error_of_a_mean_is_the_textbooks() {
        let mut random = generator(3);
        let values: Vec<f64> = (0..400).map(|_| normal(&mut random)).collect();
        let layout = Layout { runs: vec![400], block: 1 };
        let error = mean_error(&values, &layout);
        assert!((error * 20.0 - 1.0).abs() < 0.15, "{error}, 1/20 by the textbook");
    }

    #[test]
    fn what_neighbours_share_makes_the_error_larger() {
        let mut random = generator(4);
        let values: Vec<f64> = (0..100).flat_map(|_| [normal(&mut random); 5]).collect();
        let error = |block| mean_error(&values, &Layout { runs: vec![values.len()], block });
        assert!(error(10) > 1.6 * error(1), "{} and {}", error(10), error(1));
    }

    #[test]
    fn every_draw_has_as_many_cells_as_there_are() {
        for runs in [vec![7], vec![5, 5], vec![3, 3, 3, 3]] {
            let cells: usize = runs.iter().sum();
            let layout = Layout::of(runs, 2);
            let _ = standard_errors(&layout, 2, |weights| {
                assert_eq!(weights.iter().sum::<u32>() as usize, cells);
                vec![0.0]
            });
        }
    }

    #[test]
    fn too_few_units_give_no_error() {
        let figure = |_: &[u32]| vec![1.0];
        assert_eq!(standard_errors(&Layout::of(vec![8], 2), 1, figure), [None]);
        assert_eq!(standard_errors(&Layout::of(vec![9], 2), 1, figure), [Some(0.0)]);
        assert_eq!(standard_errors(&Layout::of_units(2), 1, figure), [None]);
        assert_eq!(standard_errors(&Layout::of_units(3), 1, |_| vec![f64::NAN]), [None]);
    }

    /// Of 400 pairs of series that do not differ, each of `seconds` seconds whose noise is shared to
    /// `shared` from one to the next: how many are said to differ.
    fn false_alarms(seconds: usize, shared: f64) -> usize {
        let mut random = generator(5);
        let mut series = || -> Vec<f64> {
            let mut now = normal(&mut random);
            let innovation = (1.0 - shared * shared).sqrt();
            let next = |_| {
                now = shared * now + innovation * normal(&mut random);
                now
            };
            (0..seconds).map(next).collect()
        };
        let layout = Layout::of(vec![seconds], 1);
        let is_alarm = |_: &usize| {
            let sides = [series(), series()];
            let errors = sides.each_ref().map(|values| mean_error(values, &layout));
            let [was, is] = sides.map(|values| values.iter().sum::<f64>() / seconds as f64);
            let freedom = welch_freedom(errors, [layout.units(); 2]);
            (is - was).abs() > crate::stats::student::t_95(freedom) * errors[0].hypot(errors[1])
        };
        (0..400).filter(is_alarm).count()
    }

    #[test]
    fn of_series_that_do_not_differ_one_in_twenty_is_said_to() {
        let rates = [(9, 0.0), (13, 0.0), (30, 0.0), (60, 0.0), (30, 0.4), (60, 0.4), (120, 0.6)]
            .map(|(seconds, shared)| (seconds, shared, false_alarms(seconds, shared)));
        eprintln!("{rates:?} of 400");
        for (seconds, shared, alarms) in rates {
            // 5% of 400 and two standard errors; noise that lasts for seconds costs more.
            let most = if shared == 0.0 { 29 } else { 40 + (shared * 10.0) as usize };
            assert!(alarms <= most, "{alarms} of 400 with {seconds} s, {shared}");
        }
    }
}
