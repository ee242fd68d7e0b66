//! `gander profile`, and the options by which other commands profile as well.

use clap::{Args, ValueEnum};

use super::load::LoadArgs;
use crate::error::{Error, Exit};
use crate::plan::{Plan, ProfileOptions, Purpose};
use crate::profile::SamplerKind;

/// Samples a second: not a divisor of the usual timers, so that it does not beat with them.
const DEFAULT_HZ: u32 = 99;

/// Drive load at a service and sample it meanwhile: where its time goes.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  gander profile inference-single --users 4 --service work.tokenize=20ms
                                                                the reference service, by its own profile
  gander profile chat --target http://127.0.0.1:8000            Python by py-spy, Go by its /debug/pprof, native code by perf
  gander profile my.toml --spawn './server --port {port}' --sampler perf --frequency 199")]
pub struct ProfileArgs {
    #[command(flatten)]
    load: LoadArgs,
}

impl ProfileArgs {
    /// Carries the command out.
    pub fn run(self, command_line: Vec<String>) -> Result<Exit, Error> {
        let output = self.load.output();
        crate::commands::load::load(self.plan(command_line)?, output)
    }

    /// What the arguments ask for.
    pub(super) fn plan(self, command_line: Vec<String>) -> Result<Plan, Error> {
        let options = self.load.profiling().chosen();
        let plan = self.load.plan(command_line)?;
        Ok(Plan { purpose: Purpose::Profile, profile: Some(options), ..plan })
    }

    /// Whether the arguments alone say when the run ends.
    pub(super) fn gives_an_end(&self) -> bool {
        self.load.give_an_end()
    }
}

/// How the target is profiled.
#[derive(Debug, Args)]
#[command(next_help_heading = "Profile")]
pub struct ProfilingOptions {
    /// Sample the target and gander while the load is measured
    #[arg(long)]
    profile: bool,
    /// What samples the target [default: by what the target is]; asks for a profile
    #[arg(long, value_enum, value_name = "NAME")]
    sampler: Option<SamplerArg>,
    /// Samples a second [default: 99]; asks for a profile
    #[arg(long, value_name = "HZ", value_parser = clap::value_parser!(u32).range(1..=1000))]
    frequency: Option<u32>,
    /// Path or URL of the target's own profile [default: /debug/pprof/profile]; asks for a profile
    #[arg(long, value_name = "PATH|URL")]
    profile_endpoint: Option<String>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum SamplerArg {
    /// gander itself, and not the target
    InProcess,
    /// The target's own profile over HTTP, in the form that `pprof` opens
    Http,
    /// py-spy, for Python
    PySpy,
    /// perf, for native code
    Perf,
}

impl ProfilingOptions {
    /// How to profile, where that is asked for.
    pub fn asked(&self) -> Option<ProfileOptions> {
        let is_asked = self.profile
            || self.sampler.is_some()
            || self.frequency.is_some()
            || self.profile_endpoint.is_some();
        is_asked.then(|| self.chosen())
    }

    /// How to profile, asked for or not.
    pub fn chosen(&self) -> ProfileOptions {
        ProfileOptions {
            sampler: self.sampler.map(|sampler| match sampler {
                SamplerArg::InProcess => SamplerKind::InProcess,
                SamplerArg::Http => SamplerKind::Http,
                SamplerArg::PySpy => SamplerKind::PySpy,
                SamplerArg::Perf => SamplerKind::Perf,
            }),
            frequency: self.frequency.unwrap_or(DEFAULT_HZ),
            endpoint: self.profile_endpoint.clone(),
        }
    }
}
