//! What can be asked for, and what it means.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use clap::builder::PossibleValuesParser;
use clap::error::{ContextKind, ContextValue, ErrorKind};

use super::live::Live;
use super::{Error, SETTINGS};
use crate::config::{self, Config, Given, ServiceName, Set};
use crate::document::Source;
use crate::faults::Preset;
use crate::fleet::Post;

/// Which reference services to run, and how.
#[derive(Debug, Clone, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Services to run; one that calls chat completions has an llm service started beside it
    #[arg(value_enum, required = true, value_name = "SERVICE")]
    services: Vec<ServiceName>,
    /// Latency and faults of this name, on those of the services that call no other, and on an llm
    /// service started beside
    #[arg(long, value_name = "NAME", value_parser = presets())]
    preset: Option<String>,
    /// TOML file of settings, one table for each service; --show prints one to start from
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// One setting, as `latency=50ms` or `llm.latency.base=50ms`; comes before the file. Its value is
    /// TOML, or else a plain string. May be repeated
    #[arg(long, value_name = "[SERVICE.]KEY=VALUE")]
    set: Vec<String>,
    /// Address or host name to listen on [default: 127.0.0.1]
    #[arg(long)]
    host: Option<String>,
    /// Port to listen on; 0 takes any free one. May be repeated [default: inference 8000, llm 8001,
    /// multi-query 8002, ensemble 8003]
    #[arg(long, value_name = "[SERVICE=]PORT", value_parser = port)]
    port: Vec<Port>,
    /// Run each service as a process of its own
    #[arg(long)]
    apart: bool,
    /// Print the settings in force as TOML, and run nothing
    #[arg(long)]
    show: bool,
    /// Shut down when standard input ends: a parent that dies takes the services with it
    #[arg(long, hide = true)]
    until_stdin_closes: bool,
    /// The output is passed on by a parent that says itself what may be tried
    #[arg(long, hide = true)]
    relayed: bool,
}

const EXAMPLES: &str = "\
Examples, each with this command in front:
  inference --set engine=blocking             one request at a time
  llm --preset realistic                      refusals, slow answers and bursts of them
  llm --set 'faults=[{ kind = 429, every = 3 }]' --set latency=20ms..80ms
  multi-query --set llm.latency=100ms         and the llm service that it calls
  inference llm ensemble --apart              each in a process of its own
  llm --show > mock.toml                      settings to start from, for
  llm --config mock.toml

The command line comes before the file; in each of them, a key of its own comes before a preset.
Every service has `GET` and `PUT` on /control/faults and /control/latency, and its ledger on
/control/ledger.";

fn presets() -> PossibleValuesParser {
    PossibleValuesParser::new(Preset::ALL.map(Preset::name))
}

/// A port, for one service or for whichever is named.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Port {
    service: Option<ServiceName>,
    port: u16,
}

fn port(text: &str) -> Result<Port, String> {
    let (service, number) = match text.split_once('=') {
        Some((name, number)) => {
            let service = name.trim().parse();
            let service = service.map_err(|hint| format!("no service is named {name:?}; {hint}"));
            (Some(service?), number.trim())
        }
        None => (None, text),
    };
    let port = number.parse().map_err(|_| {
        "expected a number from 0 to 65535, or one for each service, as llm=8001".to_owned()
    })?;
    Ok(Port { service, port })
}

impl Args {
    /// The services in the order in which they were named.
    pub(super) fn services(&self) -> &[ServiceName] {
        &self.services
    }

    pub(super) fn shows(&self) -> bool {
        self.show
    }

    pub(super) fn is_apart(&self) -> bool {
        self.apart
    }

    pub(super) fn ends_with_stdin(&self) -> bool {
        self.until_stdin_closes
    }

    pub(super) fn is_relayed(&self) -> bool {
        self.relayed
    }

    /// The file of settings.
    pub(super) fn config(&self) -> Option<&PathBuf> {
        self.config.as_ref()
    }

    /// Where the counters are shown.
    pub(super) fn live(&self) -> Live {
        match (self.relayed, self.until_stdin_closes) {
            (true, _) => Live::Lines,
            (false, true) => Live::Quiet,
            (false, false) => Live::of_process(),
        }
    }

    /// What was given, and what it means.
    pub(super) fn settings(&self) -> Result<(Given, Config), Error> {
        let mut named = self.services.clone();
        named.sort_unstable();
        if let Some(twice) = named.windows(2).find(|pair| pair[0] == pair[1]) {
            return Err(Error::Arguments(format!("{} is named twice", twice[0])));
        }
        let given = Given { file: self.file()?, presets: self.presets(), sets: self.sets()? };
        let mut config = config::read(&given)?;
        if let Some(host) = &self.host {
            config.host = Some(host.clone());
        }
        self.ports(&mut config)?;
        Ok((given, config))
    }

    fn file(&self) -> Result<Option<Arc<Source>>, Error> {
        let Some(path) = &self.config else { return Ok(None) };
        let name = path.display().to_string();
        let text = fs::read_to_string(path)
            .map_err(|error| Error::Arguments(format!("cannot read {name}: {error}")))?;
        Ok(Some(Arc::new(Source { name, text })))
    }

    /// The preset, on each service that takes it if it is run.
    fn presets(&self) -> Vec<(ServiceName, Preset)> {
        let preset = self.preset.as_deref().and_then(|name| name.parse().ok());
        let takers = ServiceName::ALL.into_iter().filter(|service| !service.calls_upstream());
        preset.map(|preset| takers.map(|service| (service, preset)).collect()).unwrap_or_default()
    }

    /// A preset that nothing takes is a mistake.
    pub(super) fn check_preset(&self, posts: &[Post]) -> Result<(), Error> {
        match &self.preset {
            Some(preset) if posts.iter().all(|post| post.service.calls_upstream()) => {
                let names: Vec<&str> = self.services.iter().map(|name| name.as_str()).collect();
                Err(Error::Arguments(format!(
                    "--preset {preset} is for inference, llm, and an llm service started beside \
                     another; here {} would call the upstream endpoint that is given: leave it \
                     out, or give a preset to the service itself with --set {}.preset={preset}",
                    names.join(", "),
                    names[0],
                )))
            }
            _ => Ok(()),
        }
    }

    /// Whether a service is named, or may be started beside one that calls it.
    fn is_run(&self, service: ServiceName) -> bool {
        let may_call = self.services.iter().any(|service| service.calls_upstream());
        self.services.contains(&service) || (may_call && service == ServiceName::Llm)
    }

    fn sets(&self) -> Result<Vec<Set>, Error> {
        let inherited = std::env::var(SETTINGS).unwrap_or_default();
        let inherited: Vec<String> = serde_json::from_str(&inherited).unwrap_or_default();
        let all = inherited.iter().chain(&self.set);
        let parsed = all.map(|text| Set::parse(text, &self.services));
        let (sets, problems): (Vec<_>, Vec<_>) = parsed.partition(Result::is_ok);
        let problems: Vec<_> = problems.into_iter().filter_map(Result::err).collect();
        if !problems.is_empty() {
            return Err(problems.into());
        }
        let sets: Vec<Set> = sets.into_iter().flatten().collect();
        match sets.iter().find(|set| !self.is_run(set.service())) {
            Some(set) => Err(Error::Arguments(format!(
                "--set {}: {} is not run here: name it among the services, or leave this out",
                set.text(),
                set.service()
            ))),
            None => Ok(sets),
        }
    }

    fn ports(&self, config: &mut Config) -> Result<(), Error> {
        for Port { service, port } in &self.port {
            match (service, self.services.as_slice()) {
                (Some(service), _) if self.is_run(*service) => config.ports.set(*service, *port),
                (Some(service), _) => {
                    return Err(Error::Arguments(format!(
                        "--port {service}={port}: {service} is not run here: name it among the \
                         services, or leave this out"
                    )));
                }
                (None, [only]) => config.ports.set(*only, *port),
                (None, services) if *port == 0 => {
                    services.iter().for_each(|service| config.ports.set(*service, 0));
                }
                (None, services) => {
                    return Err(Error::Arguments(format!(
                        "--port {port}: only one of {} services can have it; say which, as in \
                         --port {}={port}",
                        services.len(),
                        services[0]
                    )));
                }
            }
        }
        Ok(())
    }
}

/// `error` with the way to say it, where an option was given that is a setting. For the binary that
/// parses [`Args`].
pub fn explained(mut error: clap::Error) -> clap::Error {
    if error.kind() != ErrorKind::UnknownArgument {
        return error;
    }
    let Some(ContextValue::String(option)) = error.get(ContextKind::InvalidArg) else {
        return error;
    };
    let Some(name) = option.strip_prefix("--") else { return error };
    let name = name.split('=').next().unwrap_or(name).replace('-', "_");
    let key = match name.as_str() {
        "base" | "per_item" | "first_token" | "per_token" => format!("latency.{name}"),
        "jitter" => "latency.base".to_owned(),
        other => other.to_owned(),
    };
    let known = toml::Table::try_from(Config::default()).unwrap_or_default();
    let first = key.split('.').next().unwrap_or(&key);
    let is_setting = ServiceName::ALL
        .iter()
        .any(|service| known.get(service.as_str()).is_some_and(|table| table.get(first).is_some()));
    if is_setting {
        let example = if name == "jitter" { "'90ms +- 10ms'" } else { "…" };
        let tip = format!("it is a setting: --set {key}={example}");
        error.insert(ContextKind::Suggested, ContextValue::StyledStrs(vec![tip.into()]));
    }
    error
}
