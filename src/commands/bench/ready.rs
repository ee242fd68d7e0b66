//! What a run needs before it begins: a target that may be loaded and answers, and threads.

use std::sync::Arc;

use tokio::runtime::Runtime;
use url::Url;

use crate::error::Error;
use crate::http::HttpTarget;
use crate::measure::selector::ScrapeRules;
use crate::observe::scrape::{self, Place};
use crate::plan::Plan;
use crate::sampler;
use crate::target::Launched;

use super::super::signals;

/// Where the target shows its own numbers.
#[derive(Default)]
pub struct Own {
    /// Where it did a moment ago.
    pub places: Vec<Place>,
    /// Why it does not elsewhere.
    pub missing: Vec<String>,
}

/// What a run needs.
pub struct Ready {
    /// The target, which was there a moment ago.
    pub target: Arc<HttpTarget>,
    /// Where it shows its own numbers, where these are wanted.
    pub own: Own,
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
        let places = plan.scrape.as_ref().map(|own| places(&own.rules, &launched.url));
        let places = places.transpose()?.unwrap_or_default();
        if plan.profile.is_some() {
            // Before there are threads that allocate.
            sampler::make_ready();
        }
        let runtime = runtime(plan.threads)?;
        let probed = probe(plan, &target, places, &runtime);
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
    places: Vec<Place>,
    runtime: &Runtime,
) -> Result<Own, Error> {
    runtime.block_on(target.probe())?;
    let mut own = Own::default();
    for place in places {
        let host = HttpTarget::new(&origin(&place.url), plan.http.clone())?;
        // What the command line names is in the text format.
        let is_required =
            place.page.is_none() && plan.scrape.as_ref().is_some_and(|own| own.is_required);
        match runtime.block_on(host.probe()).and_then(|()| scrape::probe(&place)) {
            Ok(()) => own.places.push(place),
            Err(Error::CannotRun(why)) if !is_required => own.missing.push(why),
            Err(error) => return Err(error),
        }
    }
    Ok(own)
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

/// All places where the target at `base` shows its own numbers.
fn places(rules: &ScrapeRules, base: &Url) -> Result<Vec<Place>, Error> {
    let text = rules.at.iter().map(|at| (at, None));
    let pages = rules.json.iter().map(|page| (&page.at, Some(page.clone())));
    text.chain(pages).map(|(at, page)| Ok(Place { url: numbers(at, base)?, page })).collect()
}

/// The URL of `place`, a path on the target at `base`, or a URL.
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
