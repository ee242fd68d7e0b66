//! What is loaded, and what is watched of it: the options of every command that applies load.

use std::time::Duration;

use clap::Args;
use url::Url;

use crate::error::Error;
use crate::measure::selector::ScrapeRules;
use crate::plan::{Scrape, Spawn, Target};
use crate::scenario::model::{Scenario, Service};

use super::parse::{duration, key_value, observe_every, url};

/// What is loaded.
#[derive(Debug, Args)]
#[command(
    next_help_heading = "Target [default: the scenario's reference service, started by gander]"
)]
pub(super) struct TargetOptions {
    /// Base URL of a service that runs already
    #[arg(short, long, value_name = "URL", conflicts_with = "spawn", value_parser = url)]
    target: Option<Url>,
    /// Its process, for CPU and memory [default: found by its port, where that may be seen]
    #[arg(long, value_name = "PID", requires = "target")]
    pid: Option<u32>,
    /// From one look at CPU, memory, files and sockets to the next, from 100ms to 1s
    #[arg(long, value_name = "TIME", value_parser = observe_every, default_value = "1s")]
    observe_every: Duration,
    /// Command that starts the target, without a shell; `{port}` stands for a free port, which the
    /// environment variable PORT holds too
    #[arg(long, value_name = "COMMAND")]
    spawn: Option<String>,
    /// Path that answers 2xx once the spawned target is ready
    #[arg(long, value_name = "PATH", default_value = "/health")]
    ready: String,
    /// How long the spawned target may take to be ready
    #[arg(long, value_name = "TIME", value_parser = duration, default_value = "60s")]
    ready_within: Duration,
    /// Path on the target, or URL, of its own numbers in the text format of Prometheus: asked for
    /// each second, and shown beside gander's [default: the scenario's, if any]
    #[arg(long, value_name = "PATH|URL")]
    scrape: Option<String>,
    /// Setting of the reference service, as `engine=blocking` or `latency.base=90ms` (see `gander mock
    /// NAME --show`); may be repeated
    #[arg(long, value_name = "KEY=VALUE", value_parser = key_value, conflicts_with_all = ["target", "spawn"])]
    service: Vec<(String, String)>,
}

impl TargetOptions {
    /// Whether the target is another than the scenario's reference service.
    pub(super) fn is_given(&self) -> bool {
        self.target.is_some() || self.spawn.is_some()
    }

    /// From one look at resources to the next.
    pub(super) fn observe_every(&self) -> Duration {
        self.observe_every
    }

    /// What is asked of the target's own numbers: what the scenario says, at the place that the
    /// arguments name, if any.
    pub(super) fn scrape(&self, scenario: &Scenario) -> Option<Scrape> {
        let of_scenario = scenario.scrape.clone();
        match &self.scrape {
            None => of_scenario.map(|rules| Scrape { rules, is_required: false }),
            Some(at) => {
                let rules = of_scenario.unwrap_or_default();
                Some(Scrape { rules: ScrapeRules { at: at.clone(), ..rules }, is_required: true })
            }
        }
    }

    /// What is loaded.
    pub(super) fn target(&self, scenario: &Scenario) -> Result<Target, Error> {
        if let Some(url) = &self.target {
            return Ok(Target::Running { url: url.clone(), pid: self.pid });
        }
        if let Some(command) = &self.spawn {
            let words = shell_words::split(command)
                .map_err(|e| Error::BadInput(format!("--spawn {command:?}: {e}")))?;
            let (ready, ready_within) = (self.ready.clone(), self.ready_within);
            return Ok(Target::Spawn(Spawn { command: words, ready, ready_within }));
        }
        let Some(service) = &scenario.service else {
            return Err(Error::BadInput(format!(
                "scenario {} names no reference service: say what to load with --target URL or \
                 --spawn COMMAND",
                scenario.name
            )));
        };
        let mut options = service.options.clone();
        options.extend(self.service.iter().cloned());
        Ok(Target::Reference(Service { name: service.name.clone(), options }))
    }
}
