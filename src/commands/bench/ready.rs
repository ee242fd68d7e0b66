//! What a run needs before it begins: a target that may be loaded and answers, and threads.

use std::sync::Arc;

use tokio::runtime::Runtime;
use url::Url;

use crate::error::Error;
use crate::http::HttpTarget;
use crate::observe::scrape;
use crate::plan::Plan;
use crate::sampler;
use crate::target::Launched;

use super::super::signals;

/// What a run needs.
pub struct Ready {
    /// The target, which was there a moment ago.
    pub target: Arc<HttpTarget>,
    /// Where it shows its own numbers, where these are wanted; or why they cannot be had.
    pub own: Option<Result<Url, String>>,
    /// The generator's threads.
    pub runtime: Runtime,
}

impl Ready {
    /// Looks whether the target is there, and may be loaded.
    ///
    /// # Errors
    ///
    /// Where it is not, or there are no threads to load it with.
    pub fn of(plan: &Plan, launched: &Launched) -> Result<Ready, Error> {
        let target = Arc::new(HttpTarget::new(&launched.url, plan.http.clone())?);
        let own = plan.scrape.as_ref().map(|own| numbers(&own.rules.at, &launched.url));
        let own = own.transpose()?;
        if plan.profile.is_some() {
            // Before there are threads that allocate.
            sampler::make_ready();
        }
        let runtime = runtime(plan.threads)?;
        let probed = probe(plan, &target, own, &runtime);
        match signals::check().and(probed) {
            Ok(own) => Ok(Ready { target, own, runtime }),
            Err(error) => {
                // Dropped, it would wait for a name that is still being resolved.
                runtime.shutdown_background();
                Err(error)
            }
        }
    }
}

/// Looks whether the target answers, and its own numbers where they are wanted. The same hosts are
/// allowed for these as for the load. A run goes without them where only the scenario wants them.
fn probe(
    plan: &Plan,
    target: &HttpTarget,
    own: Option<Url>,
    runtime: &Runtime,
) -> Result<Option<Result<Url, String>>, Error> {
    runtime.block_on(target.probe())?;
    let Some(own) = own else { return Ok(None) };
    let host = HttpTarget::new(&origin(&own), plan.http.clone())?;
    match runtime.block_on(host.probe()).and_then(|()| scrape::probe(&own)) {
        Ok(()) => Ok(Some(Ok(own))),
        Err(Error::CannotRun(why)) if !plan.scrape.as_ref().is_some_and(|own| own.is_required) => {
            Ok(Some(Err(why)))
        }
        Err(error) => Err(error),
    }
}

fn runtime(threads: usize) -> Result<Runtime, Error> {
    let runtime = match threads {
        // Cheaper than a pool of one: no hand-over between threads.
        1 => tokio::runtime::Builder::new_current_thread().enable_all().build(),
        _ => {
            tokio::runtime::Builder::new_multi_thread().worker_threads(threads).enable_all().build()
        }
    };
    runtime.map_err(|e| Error::CannotRun(format!("cannot start the generator's threads: {e}")))
}

/// Where the target at `base` shows its own numbers: `place` is a path on it, or a URL.
fn numbers(place: &str, base: &Url) -> Result<Url, Error> {
    let url = base.join(place).ok().filter(|url| matches!(url.scheme(), "http" | "https"));
    url.ok_or_else(|| {
        Error::BadInput(format!(
            "--scrape {place}: expected a path such as /metrics, or a URL that begins with http:// or \
             https://"
        ))
    })
}

/// The base URL of `url`.
fn origin(url: &Url) -> Url {
    let mut origin = url.clone();
    origin.set_path("");
    origin.set_query(None);
    origin.set_fragment(None);
    origin
}
