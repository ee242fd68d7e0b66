//! `gander sweep`: takes every option of `gander load`; some of them take several values.

mod values;

use std::time::Duration;

use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, Args, Command, FromArgMatches, Parser, value_parser};

use super::load::LoadArgs;
use super::parse::duration;
use crate::commands::sweep::{Sweep, sweep};
use crate::error::{Error, Exit};
use crate::schedule::show_duration;
use crate::store::sweep::{Axis, Dimension};

/// Measured time of a point.
const DEFAULT_DURATION: Duration = Duration::from_secs(10);
/// Runs that confirm the answer of a search.
const CONFIRMATIONS: u32 = 3;
/// Where no load is named, a search climbs by doubling up to this.
const MOST_DOUBLED: u32 = 8192;

const EXAMPLES: &str = "Examples:
  gander sweep inference-single --users 1,2,5,10,20           throughput and latency against users
  gander sweep inference-mix --until 'p99 < 500ms'            the largest number of users that keeps to it
  gander sweep inference-mix --users 5..60/5 --until 'p99 < 500ms' --until 'failures < 1%'
  gander sweep inference-single --users 20 --service workers=1,2,4,8";

/// The arguments: those of `gander load`, and those of a sweep.
#[derive(Debug)]
pub struct SweepArgs {
    matches: ArgMatches,
}

/// One point of a sweep is a load as `gander load` takes it.
#[derive(Debug, Parser)]
struct PointArgs {
    #[command(flatten)]
    load: LoadArgs,
}

impl FromArgMatches for SweepArgs {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        Ok(SweepArgs { matches: matches.clone() })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        self.matches = matches.clone();
        Ok(())
    }
}

impl Args for SweepArgs {
    fn augment_args(command: Command) -> Command {
        let text = |arg: Arg, name: &'static str, help: &'static str| {
            arg.value_name(name).help(help).value_parser(value_parser!(String))
        };
        let command = LoadArgs::augment_args(command);
        let has_rate = command.get_arguments().any(|arg| arg.get_id() == "rate");
        let command = match has_rate {
            true => command.mut_arg("rate", |arg| {
                text(
                    arg,
                    "LIST",
                    "Iterations started per second at each point: 10,20 or 10..100/10",
                )
            }),
            false => command,
        };
        command
            .about("Apply one load after another: how throughput grows, and up to where rules hold")
            .long_about(None)
            .after_help(EXAMPLES)
            .mut_arg("users", |arg| {
                text(arg, "LIST", "Users of each point: 1,2,5,10 or 5..50/5")
            })
            .mut_arg("stages", |arg| arg.hide(true))
            .mut_arg("duration", |arg| {
                arg.help(
                    "Measured time of each point [default: 10s; where settings of the service alone are \
                     swept, the scenario's]",
                )
            })
            .mut_arg("service", |arg| {
                arg.help(
                    "Setting of the reference service, as engine=blocking; several values, as \
                     workers=1,2,4, are swept, each with a fresh service; may be repeated",
                )
            })
            .arg(text(
                Arg::new("until").long("until").action(ArgAction::Append).help_heading("Load"),
                "RULE",
                "Search the largest load that keeps to this rule, as 'p99 < 500ms', and confirm it; \
                 may be repeated [with no list of loads: doubles the users]",
            ))
            .arg(
                Arg::new("trials")
                    .long("trials")
                    .value_name("N")
                    .value_parser(value_parser!(u32).range(1..=100))
                    .help_heading("Load")
                    .help("Runs of each point [default: 1]; with --until, runs that confirm the answer [default: 3]"),
            )
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl SweepArgs {
    /// Carries the command out.
    pub fn run(self, command_line: Vec<String>) -> Result<Exit, Error> {
        if self.text("stages").is_some() {
            let message = "--stages belongs to `gander load`; a sweep takes --users 5..50/5";
            return Err(Error::BadInput(message.to_owned()));
        }
        let until: Vec<String> = self.texts("until");
        let (axes, resolution) = self.axes(!until.is_empty())?;
        if !until.is_empty()
            && (axes.len() > 1 || matches!(axes[0].dimension, Dimension::Service(_)))
        {
            let message = "--until searches along --users or --rate alone: give each --service \
                           setting one value";
            return Err(Error::BadInput(message.to_owned()));
        }
        let default = if until.is_empty() { 1 } else { CONFIRMATIONS };
        let trials = self.matches.get_one::<u32>("trials").copied().unwrap_or(default);
        let load = self.point(&axes, &first(&axes), None)?.load;
        let output = load.output();
        // Where loads are swept, they take the place of the scenario's load, its duration included.
        let sweeps_load = axes.iter().any(|axis| !matches!(axis.dimension, Dimension::Service(_)));
        let is_given = ["duration", "iterations", "rows", "arrivals_file"];
        let is_given = is_given.into_iter().any(|id| self.text(id).is_some());
        let default = match sweeps_load {
            true => !is_given,
            false => !load.say_how_long()?,
        };
        let default = default.then_some(DEFAULT_DURATION);
        let of = axes.clone();
        let plan = move |at: &[String], longer: Option<Duration>| {
            let length = longer.or(default);
            let words = self.words(&of, at, length);
            let args = self.point(&of, at, length)?;
            args.load.plan(words.iter().map(|w| mock_server::config::concealed(w)).collect())
        };
        sweep(Sweep { axes, until, trials, resolution, plan: Box::new(plan), command_line }, output)
    }

    /// What is swept, the load first, and the resolution of a search along it.
    fn axes(&self, searches: bool) -> Result<(Vec<Axis>, f64), Error> {
        let mut axes = Vec::new();
        let mut resolution = 1.0;
        for (id, dimension) in [("users", Dimension::Users), ("rate", Dimension::Rate)] {
            let Some(text) = self.text(id) else { continue };
            let whole = dimension == Dimension::Users;
            let found = values::loads(&text, whole)
                .map_err(|why| Error::BadInput(format!("--{id}: {why}")))?;
            resolution = found.step.unwrap_or(resolution);
            if found.values.len() > 1 || searches {
                let values = found.values.iter().map(f64::to_string).collect();
                axes.push(Axis { dimension, values });
            }
        }
        for setting in self.texts("service") {
            let Some((key, value)) = setting.split_once('=') else { continue };
            let values = values::settings(value);
            if values.len() > 1 {
                axes.push(Axis { dimension: Dimension::Service(key.trim().to_owned()), values });
            }
        }
        if axes.is_empty() && searches {
            let doubled = std::iter::successors(Some(1), |n| Some(n * 2));
            let values = doubled.take_while(|n| *n <= MOST_DOUBLED).map(|n: u32| n.to_string());
            axes.push(Axis { dimension: Dimension::Users, values: values.collect() });
        }
        match axes.len() {
            0 => Err(Error::BadInput(
                "nothing is swept: give several users (--users 1,2,5,10 or 5..50/5), a rule \
                 (--until 'p99 < 500ms'), or several values of a --service setting"
                    .to_owned(),
            )),
            1 | 2 => Ok((axes, resolution)),
            n => Err(Error::BadInput(format!(
                "{n} options have several values, and a sweep has at most two axes"
            ))),
        }
    }

    /// The arguments of `gander load` for one point.
    fn point(
        &self,
        axes: &[Axis],
        at: &[String],
        length: Option<Duration>,
    ) -> Result<PointArgs, Error> {
        let words = self.words(axes, at, length);
        PointArgs::try_parse_from(&words[1..])
            .map_err(|error| Error::Diagnosed(error.to_string().trim_end().to_owned()))
    }

    /// The command line of `gander load` for one point: everything that was given, with the values of
    /// this point in place of the swept ones, and `length` in place of the duration, where it is said.
    fn words(&self, axes: &[Axis], at: &[String], length: Option<Duration>) -> Vec<String> {
        let mut words = vec!["gander".to_owned(), "load".to_owned()];
        let swept = |dimension: &Dimension| {
            axes.iter().zip(at).find(|(axis, _)| axis.dimension == *dimension).map(|(_, v)| v)
        };
        let command = Self::augment_args(Command::new("sweep"));
        for arg in command.get_arguments() {
            let id = arg.get_id().as_str();
            let is_own = matches!(id, "until" | "trials" | "duration" | "users" | "rate");
            if is_own || self.matches.value_source(id) != Some(ValueSource::CommandLine) {
                continue;
            }
            let Some(long) = arg.get_long() else {
                words.extend(self.texts(id));
                continue;
            };
            if !arg.get_action().takes_values() {
                words.push(format!("--{long}"));
            }
            for text in self.texts(id).into_iter().filter(|_| arg.get_action().takes_values()) {
                let value =
                    text.split_once('=').filter(|_| id == "service").and_then(|(key, _)| {
                        let key = key.trim();
                        Some(format!("{key}={}", swept(&Dimension::Service(key.to_owned()))?))
                    });
                words.push(format!("--{long}={}", value.unwrap_or(text)));
            }
        }
        for (id, dimension) in [("users", Dimension::Users), ("rate", Dimension::Rate)] {
            if let Some(value) = swept(&dimension).cloned().or_else(|| self.text(id)) {
                words.push(format!("--{id}={value}"));
            }
        }
        let given = self.text("duration").and_then(|text| duration(&text).ok());
        words
            .extend(length.or(given).map(|length| format!("--duration={}", show_duration(length))));
        words
    }

    /// The value of an option, as written; `None` where it was not given.
    fn text(&self, id: &str) -> Option<String> {
        self.texts(id).into_iter().next()
    }

    /// All values of an option, as written.
    fn texts(&self, id: &str) -> Vec<String> {
        let Ok(Some(raw)) = self.matches.try_get_raw(id) else { return Vec::new() };
        if self.matches.value_source(id) != Some(ValueSource::CommandLine) {
            return Vec::new();
        }
        raw.map(|value| value.to_string_lossy().into_owned()).collect()
    }
}

/// The values of the first point.
fn first(axes: &[Axis]) -> Vec<String> {
    axes.iter().filter_map(|axis| axis.values.first().cloned()).collect()
}
