//! `gander load`: one run, and its report.

use crate::error::{Error, Exit};
use crate::plan::Plan;

use super::bench::Bench;
use super::output::Output;
use super::report;

/// Carries out `plan`, writes its run folder, and shows the report.
pub fn load(plan: Plan, output: Output) -> Result<Exit, Error> {
    let mut bench = Bench::set_up(&plan.target)?;
    let folder = bench.measure(plan, &output)?;
    bench.take_down();
    report::finish(&folder, &output)
}
