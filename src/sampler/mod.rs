//! Samplers: what looks into processes while load runs, each on a thread of its own. None of them
//! makes a run fail; what they could not do is said in one line.

mod growing;
mod http;
mod in_process;
mod perf;
mod process;
mod py_spy;
mod refused;
mod span;

use std::sync::Arc;
use std::thread::JoinHandle;

use url::Url;

use crate::clock::Clock;
use crate::measure::recorder::Recorder;
use crate::measure::resource::Observed;
use crate::observe::resources::tree;
use crate::plan::{ProfileOptions, TargetRecord};
use crate::profile::{Missing, Profiles, SamplerKind, USUAL_PLACE};

use http::Endpoint;
pub use in_process::make_ready;
use span::Span;

/// Samplers at work, from the begin of the measured part to its end.
#[derive(Debug)]
pub struct Session {
    span: Span,
    samplers: Vec<JoinHandle<Profiles>>,
    /// What could not even be tried.
    missing: Vec<Missing>,
}

/// What looks into the target.
#[derive(Debug)]
enum Sampler {
    Http(Endpoint),
    /// What answers at the usual place, which nobody named: perf on this process where it is no profile.
    HttpOrPerf(Endpoint, Option<u32>),
    PySpy(u32),
    Perf(u32),
}

impl Session {
    /// Chooses a sampler for `target` at `url`, and starts it and the one of gander itself. The latter
    /// wants [`make_ready`] to have been called.
    pub fn start(
        options: &ProfileOptions,
        target: &TargetRecord,
        url: &Url,
        clock: Clock,
        recorder: Arc<Recorder>,
    ) -> Session {
        let span = Span::new(clock, recorder);
        let mut session = Session { span: span.clone(), samplers: Vec::new(), missing: Vec::new() };
        let frequency = options.frequency;
        let own = span.clone();
        session.work(Observed::Generator, move || in_process::sample(&own, frequency));
        match choose(options, target, url) {
            Ok(Some(sampler)) => {
                session.work(Observed::Target, move || match sampler {
                    Sampler::Http(endpoint) => endpoint.sample(&span, frequency),
                    Sampler::HttpOrPerf(endpoint, pid) => {
                        match (endpoint.sample(&span, frequency), pid) {
                            (profiles, Some(pid)) if profiles.taken.is_empty() => {
                                let by_perf = perf::sample(&span, pid, frequency);
                                if by_perf.taken.is_empty() {
                                    both(profiles, by_perf)
                                } else {
                                    by_perf
                                }
                            }
                            (profiles, _) => profiles,
                        }
                    }
                    Sampler::PySpy(pid) => py_spy::sample(&span, pid, frequency),
                    Sampler::Perf(pid) => perf::sample(&span, pid, frequency),
                });
            }
            Ok(None) => {}
            Err(missing) => session.missing.push(missing),
        }
        session
    }

    fn work(&mut self, who: Observed, sample: impl FnOnce() -> Profiles + Send + 'static) {
        match std::thread::Builder::new().name("sampler".to_owned()).spawn(sample) {
            Ok(thread) => self.samplers.push(thread),
            Err(error) => self.missing.push(Missing {
                who,
                sampler: None,
                why: format!("no thread for the sampler: {error}"),
                mend: None,
            }),
        }
    }

    /// Ends sampling where the run has not, and returns what came of it.
    pub fn finish(mut self) -> Profiles {
        self.span.end();
        let missing = std::mem::take(&mut self.missing);
        let mut all = Profiles { taken: Vec::new(), missing };
        for sampler in self.samplers.drain(..) {
            match sampler.join() {
                Ok(profiles) => {
                    all.taken.extend(profiles.taken);
                    all.missing.extend(profiles.missing);
                }
                Err(_) => all.missing.push(Missing {
                    who: Observed::Target,
                    sampler: None,
                    why: "the sampler failed; the run did not".to_owned(),
                    mend: None,
                }),
            }
        }
        // The target's first, in the same order every time.
        all.taken.sort_by(|(one, _), (other, _)| {
            one.who.cmp(&other.who).then(one.name.cmp(&other.name))
        });
        all
    }
}

impl Drop for Session {
    /// A run that failed is not sampled any longer.
    fn drop(&mut self) {
        self.span.end();
        for sampler in self.samplers.drain(..) {
            // What it has is not wanted.
            let _ = sampler.join();
        }
    }
}

/// What two samplers could not do.
fn both(mut one: Profiles, other: Profiles) -> Profiles {
    one.missing.extend(other.missing);
    one
}

/// What looks into `target`: the sampler that was named, else the one for what the target is. `None`
/// where only gander itself is to be sampled.
fn choose(
    options: &ProfileOptions,
    target: &TargetRecord,
    url: &Url,
) -> Result<Option<Sampler>, Missing> {
    let endpoint = || Endpoint::new(url, options.endpoint.as_deref());
    let unknown = |sampler| Missing {
        who: Observed::Target,
        sampler,
        why: "the target's process is not known".to_owned(),
        mend: Some(format!(
            "name it with --pid where it runs on this machine, or have the target answer {USUAL_PLACE}"
        )),
    };
    let process = |sampler| target.pid.ok_or_else(|| unknown(sampler));
    let kind = match (options.sampler, &options.endpoint) {
        (Some(kind), _) => kind,
        (None, Some(_)) => SamplerKind::Http,
        (None, None) => {
            if let Some(pid) =
                target.pid.filter(|pid| tree(*pid).into_iter().any(process::is_python))
            {
                return Ok(Some(Sampler::PySpy(pid)));
            }
            let endpoint = endpoint()?;
            return Ok(Some(match endpoint.answers() {
                true => Sampler::HttpOrPerf(endpoint, target.pid),
                false => Sampler::Perf(process(None)?),
            }));
        }
    };
    Ok(match kind {
        SamplerKind::InProcess => None,
        SamplerKind::Http => Some(Sampler::Http(endpoint()?)),
        SamplerKind::PySpy => Some(Sampler::PySpy(process(Some(kind))?)),
        SamplerKind::Perf => Some(Sampler::Perf(process(Some(kind))?)),
    })
}
