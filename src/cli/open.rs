//! Options of open load.

use std::path::PathBuf;

use clap::Args;

use crate::error::Error;
use crate::scenario::model::Scenario;
use crate::schedule::{RateSpan, RateStage, Recorded, Spread};

/// Iterations at the same time where nobody says how many: more than most services take on, and few
/// enough for this machine's ports and files.
pub(super) const DEFAULT_MAX_IN_FLIGHT: u32 = 1_000;

/// When iterations start that wait for no other.
#[derive(Debug, Args)]
pub struct OpenOptions {
    /// Open load: iterations that start each second, whether earlier ones have ended or not, as `50`,
    /// `50/s`, `300/m`, or `10..100` for a rate that changes evenly over the duration. Think time does
    /// not apply
    #[arg(long, value_name = "RATE", value_parser = rate, conflicts_with_all = ["users", "start_rate", "stages", "arrivals_file"])]
    rate: Option<RateSpan>,
    /// How open load's arrivals are spread: `constant` (evenly, one after each 1/rate) or `poisson`
    /// (independently of each other, drawn from the seed) [default: the scenario's, or constant]
    #[arg(long, value_name = "constant|poisson", value_parser = spread, conflicts_with_all = ["users", "start_rate", "arrivals_file"])]
    arrivals: Option<Spread>,
    /// Open load: start iterations at recorded moments. One number of seconds since the start on each
    /// line; or .csv or .jsonl with a column or field `at` (such seconds) or `timestamp` (ISO 8601 or
    /// seconds, counted from the first)
    #[arg(long, value_name = "FILE", conflicts_with_all = ["users", "start_rate", "stages"])]
    arrivals_file: Option<PathBuf>,
    /// Replay recorded arrivals this many times as fast
    #[arg(long, value_name = "FACTOR", default_value_t = 1.0, requires = "arrivals_file")]
    speed: f64,
    /// Open load: most iterations at the same time; what is due beyond them is dropped, and counted as
    /// such [default: the scenario's, or 1000]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..), conflicts_with_all = ["users", "start_rate"])]
    max_in_flight: Option<u32>,
}

/// What says when iterations are due.
pub(super) enum Given {
    /// Over the measured time.
    Rate(RateSpan),
    /// With times of their own.
    Stages(Vec<RateStage>),
    /// Read from a file.
    Recorded(Recorded),
}

impl OpenOptions {
    /// Whether these options alone make the load an open one.
    pub(super) fn is_chosen(&self) -> bool {
        self.rate.is_some() || self.arrivals_file.is_some()
    }

    /// Whether the arrivals come to an end of their own.
    pub(super) fn ends_by_itself(&self) -> bool {
        self.arrivals_file.is_some()
    }

    /// For closed load, in which none of these options means anything.
    pub(super) fn refuse_in_closed_load(&self) -> Result<(), Error> {
        let option = match (self.arrivals, self.max_in_flight) {
            (Some(_), _) => "--arrivals",
            (None, Some(_)) => "--max-in-flight",
            (None, None) => return Ok(()),
        };
        Err(Error::BadInput(format!(
            "{option} goes with open load, and this load is closed (users that wait for their \
             responses): give --rate, as in `--rate 50`"
        )))
    }

    /// What the options say, or else the scenario.
    pub(super) fn given(&self, scenario: &Scenario) -> Result<Given, Error> {
        if let Some(path) = &self.arrivals_file {
            let text = std::fs::read_to_string(path).map_err(|error| {
                let path = path.display();
                Error::BadInput(format!("--arrivals-file: {path} cannot be read: {error}"))
            })?;
            let recorded = Recorded::parse(&path.display().to_string(), &text, self.speed);
            return recorded
                .map(Given::Recorded)
                .map_err(|error| Error::BadInput(format!("--arrivals-file: {error}")));
        }
        let of_scenario = || scenario.load.rate_stages.clone().map(Given::Stages);
        match self.rate.or(scenario.load.rate) {
            Some(rate) => Ok(Given::Rate(rate)),
            None => of_scenario().ok_or_else(|| Error::BadInput("give a --rate".to_owned())),
        }
    }

    /// How arrivals are spread.
    pub(super) fn spread(&self, scenario: &Scenario) -> Spread {
        self.arrivals.or(scenario.load.arrivals).unwrap_or_default()
    }

    /// Most iterations at the same time.
    pub(super) fn max_in_flight(&self, scenario: &Scenario) -> u32 {
        self.max_in_flight.or(scenario.load.max_in_flight).unwrap_or(DEFAULT_MAX_IN_FLIGHT)
    }
}

pub(super) fn rate(text: &str) -> Result<RateSpan, String> {
    text.parse().map_err(|error: crate::schedule::NotUnderstood| error.to_string())
}

pub(super) fn spread(text: &str) -> Result<Spread, String> {
    let all = [Spread::Constant, Spread::Poisson];
    all.into_iter().find(|spread| spread.name() == text).ok_or_else(|| {
        "expected `constant` (evenly) or `poisson` (independently of each other)".to_owned()
    })
}

/// `--rows`.
#[derive(Debug, Clone, Copy)]
pub(super) enum Rows {
    /// Each once.
    All,
    /// So many.
    Number(u64),
}

/// Reads `--rows`.
pub(super) fn rows(text: &str) -> Result<Rows, String> {
    match text.parse() {
        _ if text == "all" => Ok(Rows::All),
        Ok(number) if number > 0 => Ok(Rows::Number(number)),
        _ => Err("expected a number of rows, or `all`".to_owned()),
    }
}
