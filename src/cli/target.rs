//! What is loaded, and what is watched of it: the options of every command that applies load.

use std::time::Duration;

use clap::Args;
use url::Url;

use crate::error::Error;
use crate::plan::{Scrape, Spawn, Target};
use crate::scenario::model::{Scenario, Service};

use super::parse::{duration, key_value, observe_every, scrape_every, url};

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
    #[arg(long, value_name = "PID")]
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
    /// again and again, and shown beside gander's [default: the scenario's, if any]
    #[arg(long, value_name = "PATH|URL")]
    scrape: Option<String>,
    /// From one look at the target's own numbers to the next, from 100ms to 1h [default: the
    /// scenario's, or 1s]
    #[arg(long, value_name = "TIME", value_parser = scrape_every)]
    scrape_every: Option<Duration>,
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

    /// The process of a running target that was named.
    pub(super) fn pid(&self) -> Option<u32> {
        self.pid
    }

    /// From one look at resources to the next.
    pub(super) fn observe_every(&self) -> Duration {
        self.observe_every
    }

    /// What is asked of the target's own numbers: what the scenario says, at the place and as often
    /// as the arguments say, if they do.
    pub(super) fn scrape(&self, scenario: &Scenario) -> Result<Option<Scrape>, Error> {
        if self.scrape.is_none() && scenario.scrape.is_none() {
            return match self.scrape_every {
                None => Ok(None),
                Some(_) => Err(Error::BadInput(
                    "--scrape-every: the target is not asked for its own numbers; say where it shows \
                     them, as --scrape /metrics, or in the scenario's [scrape]"
                        .to_owned(),
                )),
            };
        }
        let mut rules = scenario.scrape.clone().unwrap_or_default();
        rules.at = self.scrape.clone().or(rules.at);
        rules.every = self.scrape_every.unwrap_or(rules.every);
        Ok(Some(Scrape { rules, is_required: self.scrape.is_some() }))
    }

    /// What is loaded.
    pub(super) fn target(&self, scenario: &Scenario) -> Result<Target, Error> {
        if self.pid.is_some() && self.target.is_none() {
            return Err(Error::BadInput(
                "--pid names the process of a service that runs already: say where it answers, with \
                 --target URL"
                    .to_owned(),
            ));
        }
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
        let service = Service { name: service.name.clone(), options };
        service.check()?;
        Ok(Target::Reference(service))
    }
}
