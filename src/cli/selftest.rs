//! `gander selftest`.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use super::OutputArgs;
use super::parse::duration;
use crate::commands::selftest::{Selftest, selftest};
use crate::error::{Error, Exit};
use crate::schedule::Rate;

const USERS: [u32; 3] = [1, 10, 100];
const RATES: [f64; 3] = [50.0, 500.0, 2_000.0];
const EACH: Duration = Duration::from_secs(5);
/// With `--quick`.
const QUICK_USERS: [u32; 2] = [1, 10];
const QUICK_RATES: [f64; 2] = [50.0, 200.0];
const QUICK_EACH: Duration = Duration::from_secs(2);

/// How far gander's own figures are off on this machine, and up to which load they hold
#[derive(Debug, Args)]
#[command(after_help = "\
Drives gander's own llm service, and holds what gander measured against the service's ledger of the \
same run: counts must be equal, times within 1 ms or 1%. Exit code 0 where all counts are exact and \
the smallest loads hold, 1 where not.

Examples:
  gander selftest                     9 runs, about a minute
  gander selftest --quick             fewer and shorter runs
  gander selftest --users 500 --rates 5000 --threads 2")]
pub struct SelftestArgs {
    /// Users of the closed load, each number a run of whole answers and one of streams
    /// [default: 1,10,100]
    #[arg(short, long, value_name = "LIST", value_delimiter = ',', value_parser = clap::value_parser!(u32).range(1..))]
    users: Option<Vec<u32>>,
    /// Arrivals a second of the open load, each rate a run [default: 50,500,2000]
    #[arg(long, value_name = "LIST", value_delimiter = ',', value_parser = rate)]
    rates: Option<Vec<Rate>>,
    /// Length of each run, in whole seconds, at least 2s [default: 5s]
    #[arg(short, long, value_name = "TIME", value_parser = length)]
    duration: Option<Duration>,
    /// Fewer and shorter runs: 1,10 users, 50,200 arrivals a second, 2s each
    #[arg(long)]
    quick: bool,
    /// Worker threads of the generator
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=256))]
    threads: u16,
    /// Folder for the self-test's folder
    #[arg(long, value_name = "DIR", default_value = "reports")]
    reports: PathBuf,
    #[command(flatten)]
    output: OutputArgs,
}

impl SelftestArgs {
    /// Carries the command out.
    pub fn run(self, command_line: Vec<String>) -> Result<Exit, Error> {
        let (users, rates, each) = match self.quick {
            true => (QUICK_USERS.to_vec(), QUICK_RATES.to_vec(), QUICK_EACH),
            false => (USERS.to_vec(), RATES.to_vec(), EACH),
        };
        let rates = rates.into_iter().map(|per_second| Rate { per_second }).collect();
        let mut users = self.users.unwrap_or(users);
        users.sort_unstable();
        users.dedup();
        let mut rates: Vec<Rate> = self.rates.unwrap_or(rates);
        rates.sort_by(|a, b| a.per_second.total_cmp(&b.per_second));
        rates.dedup();
        let test = Selftest {
            users,
            rates,
            each: self.duration.unwrap_or(each),
            threads: usize::from(self.threads),
            reports: self.reports,
            command_line,
        };
        selftest(test, self.output.output())
    }
}

/// More than nothing a second.
fn rate(text: &str) -> Result<Rate, String> {
    let rate: Rate = text.parse().map_err(|error| format!("{error}"))?;
    match rate.per_second > 0.0 {
        true => Ok(rate),
        false => Err("a rate is more than 0 a second".to_owned()),
    }
}

/// Users start within the first second, and stages are in whole seconds.
fn length(text: &str) -> Result<Duration, String> {
    let length = duration(text)?;
    match length.subsec_nanos() == 0 && length >= QUICK_EACH {
        true => Ok(length),
        false => Err("a run takes whole seconds, at least 2s".to_owned()),
    }
}
