//! The server's own numbers, and whether they agree with what gander measured.

mod compare;
mod states;
mod track;

use serde::Serialize;

use crate::measure::scrape::Kind;
use crate::measure::selector::ScrapeRules;
use crate::measure::summary::Summary;
use crate::store::run::Run;

use compare::Look;
pub use compare::{Compared, Times};
pub use states::{Grid, State};
use track::Track;

/// What the server said of itself during a run.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Server {
    /// How often it was asked and answered.
    pub looks: usize,
    /// Seconds from the first look, before the load, to the last one, after it.
    pub seconds: f64,
    /// From one look to the next, in seconds.
    pub every_seconds: f64,
    /// Seconds between the looks around the measured part: times are of all requests in it.
    pub measured_seconds: f64,
    /// Each series that is no state, in the order in which they appeared.
    pub series: Vec<SeriesFigures>,
    /// States that it was in, or had elements in.
    pub states: Vec<State>,
    /// Numbers in JSON that make a table: parts of the server, and what is known of each.
    pub grids: Vec<Grid>,
    /// The server's figures beside gander's, where both are known.
    pub compared: Vec<Compared>,
    /// Times of which it shows a sum and a count, in the measured part.
    pub times: Vec<Times>,
    /// Series that the scenario compares and the server does not show.
    pub missing: Vec<String>,
}

impl Server {
    /// What does not agree.
    pub fn disagreements(&self) -> impl Iterator<Item = &Compared> {
        self.compared.iter().filter(|compared| !compared.agrees)
    }
}

/// The figures of one series over the looks of a run.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SeriesFigures {
    /// Name and labels.
    pub series: String,
    /// What its values are.
    pub kind: Kind,
    /// The first value.
    pub first: f64,
    /// The last one.
    pub last: f64,
    /// Of a counter: by how much it grew, restarts from 0 included; one that appeared during the run
    /// began at 0.
    pub increase: Option<f64>,
    /// The same a second.
    pub per_second: Option<f64>,
    /// Of a gauge: the least, the mean of all looks, the most.
    pub spread: Option<(f64, f64, f64)>,
}

/// What the server said in `run`, whose figures are `summary`; `None` where it was not asked.
pub fn server(run: &Run, summary: &Summary) -> Option<Server> {
    let (first, last) = (run.scraped.first()?, run.scraped.last()?);
    let tracks = track::tracks(run);
    let (begin, end) = (first.at.as_secs_f64(), last.at.as_secs_f64());
    let whole = (begin, end);
    let plain = ScrapeRules::default();
    let rules = run.start.plan.scrape.as_ref().unwrap_or(&plain);
    let mut compared = compare::requests(run, &tracks, rules, whole);
    compared.extend(compare::errors(run, &tracks, whole));
    // The looks that hold the measured part between them.
    let ats = || run.scraped.iter().map(|look| look.at);
    let from = ats().rfind(|at| *at <= summary.window.start).unwrap_or(first.at);
    let to = ats().find(|at| *at >= summary.window.end).unwrap_or(last.at);
    let measured = (from.as_secs_f64(), to.as_secs_f64());
    let scale = compare::time_scale(&tracks);
    let look = Look { summary, tracks: &tracks, within: measured, scale };
    let same = compare::same_times(rules);
    for (selector, metric) in &same {
        compared.extend(look.percentiles(selector, *metric));
        compared.extend(look.mean(selector, *metric));
    }
    let numbers = tracks.iter().filter(|track| track.series.kind != Kind::State);
    Some(Server {
        looks: run.scraped.len(),
        seconds: end - begin,
        every_seconds: rules.every.as_secs_f64(),
        measured_seconds: measured.1 - measured.0,
        series: numbers.filter_map(|track| figures(track, whole)).collect(),
        states: states::states(&tracks),
        grids: states::grids(&tracks),
        compared,
        times: look.times(&same),
        missing: compare::missing(&tracks, rules),
    })
}

fn figures(track: &Track<'_>, whole: (f64, f64)) -> Option<SeriesFigures> {
    let (first, last) = (track.points.first()?.1, track.points.last()?.1);
    let is_counter = track.series.kind == Kind::Counter;
    let increase = is_counter.then(|| track.increase(whole));
    let seconds = whole.1 - whole.0;
    let values = || track.points.iter().map(|(_, value)| *value);
    let spread = (
        values().fold(f64::INFINITY, f64::min),
        values().sum::<f64>() / track.points.len() as f64,
        values().fold(f64::NEG_INFINITY, f64::max),
    );
    Some(SeriesFigures {
        series: track.series.to_string(),
        kind: track.series.kind,
        first,
        last,
        increase,
        per_second: increase.filter(|_| seconds > 0.0).map(|increase| increase / seconds),
        spread: (!is_counter).then_some(spread),
    })
}
