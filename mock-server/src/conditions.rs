//! What may be changed while a service runs, and what each request meets on its arrival.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use crate::draws::{Draws, Sequence};
use crate::faults::{Faults, Kind, Rule};
use crate::latency::Latency;

/// Latency and faults in force, and the numbering of requests.
#[derive(Debug)]
pub(crate) struct Conditions {
    seed: u64,
    sequence: Sequence,
    weather: RwLock<Arc<Weather>>,
    /// Told whenever the weather changes.
    changed: watch::Sender<()>,
}

#[derive(Debug, Clone)]
struct Weather {
    since: Instant,
    latency: Latency,
    faults: Faults,
}

/// What a request meets: its draws, the latency in force, and the fault that strikes it.
#[derive(Debug, Clone)]
pub(crate) struct Arrival {
    /// The draws of the request.
    pub draws: Draws,
    /// The fault that strikes it, if one does.
    pub fault: Option<Rule>,
    weather: Arc<Weather>,
}

impl Arrival {
    /// The latency in force when the request arrived.
    pub(crate) fn latency(&self) -> &Latency {
        &self.weather.latency
    }

    /// The kind of fault that strikes the request, if one does.
    pub(crate) fn struck_by(&self) -> Option<Kind> {
        self.fault.as_ref().map(|rule| rule.kind)
    }
}

impl Conditions {
    pub(crate) fn new(seed: u64, latency: Latency, faults: Faults) -> Arc<Conditions> {
        let weather = Weather { since: Instant::now(), latency, faults };
        Arc::new(Conditions {
            seed,
            sequence: Sequence::default(),
            weather: RwLock::new(Arc::new(weather)),
            changed: watch::channel(()).0,
        })
    }

    /// A request of `route` arrives: it gets the next number.
    pub(crate) fn arrive(&self, route: &str) -> Arrival {
        let weather = self.weather();
        let draws = Draws::new(self.seed, self.sequence.next());
        let fault = match weather.faults.is_empty() {
            true => None,
            false => weather.faults.decide(draws, route, weather.since.elapsed()).cloned(),
        };
        Arrival { draws, fault, weather }
    }

    pub(crate) fn latency(&self) -> Latency {
        self.weather().latency.clone()
    }

    pub(crate) fn set_latency(&self, latency: Latency) {
        self.change(|weather| weather.latency = latency);
    }

    pub(crate) fn faults(&self) -> Faults {
        self.weather().faults.clone()
    }

    pub(crate) fn set_faults(&self, faults: Faults) {
        self.change(|weather| weather.faults = faults);
    }

    /// Numbers and bursts begin anew, so that the same draws come again as after the start.
    pub(crate) fn restart(&self) {
        self.sequence.restart();
        self.change(|weather| weather.since = Instant::now());
    }

    /// Whether a fault of the whole service is in force now, and for how long it stays as it is; none
    /// where it stays so until the conditions change.
    pub(crate) fn of_service(&self, kind: Kind) -> (bool, Option<Duration>) {
        let weather = self.weather();
        let rules = || weather.faults.rules().iter().filter(|rule| rule.kind == kind);
        // Every request asks: where there is no such fault, the clock is not looked at.
        if rules().next().is_none() {
            return (false, None);
        }
        let elapsed = weather.since.elapsed();
        let change = rules().filter_map(|rule| Some(rule.burst?.until_change(elapsed))).min();
        (rules().any(|rule| rule.is_open(elapsed)), change)
    }

    /// Waits until a fault of the whole service is no longer in force.
    pub(crate) async fn until_over(&self, kind: Kind) {
        if !self.of_service(kind).0 {
            return;
        }
        let mut changed = self.changed.subscribe();
        loop {
            let (is_on, change) = self.of_service(kind);
            if !is_on {
                return;
            }
            tokio::select! {
                () = sleep(change) => {}
                _ = changed.changed() => {}
            }
        }
    }

    /// Waits until the conditions are changed from outside.
    pub(crate) fn changes(&self) -> watch::Receiver<()> {
        self.changed.subscribe()
    }

    fn weather(&self) -> Arc<Weather> {
        Arc::clone(&self.weather.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn change(&self, change: impl FnOnce(&mut Weather)) {
        let mut weather = self.weather.write().unwrap_or_else(PoisonError::into_inner);
        change(Arc::make_mut(&mut weather));
        drop(weather);
        self.changed.send_replace(());
    }
}

/// Sleeps that long, or for ever.
pub(crate) async fn sleep(time: Option<Duration>) {
    match time {
        Some(time) => tokio::time::sleep(time).await,
        None => std::future::pending().await,
    }
}
