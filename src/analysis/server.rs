//! The server's own numbers, and whether they agree with what gander measured.

use serde::Serialize;

use crate::measure::metric::Metric;
use crate::measure::sample::Outcome;
use crate::measure::scrape::{Kind, Series};
use crate::measure::selector::{ScrapeRules, Selector};
use crate::measure::summary::Summary;
use crate::store::run::Run;

/// Figures that are apart by more than this share of the larger disagree (S1-13).
const TOLERANCE: f64 = 0.05;
/// A path that is asked for by whoever watches, and not by the load.
const WATCHED: &str = "/metrics";
/// Labels in which the status of an answer stands, `500` or `5xx`.
const STATUS: [&str; 3] = ["status", "status_code", "code"];

/// Counters of requests by well-known names, and whether they count successes alone.
const REQUESTS: [(&str, bool); 5] = [
    ("http_requests_total", false),
    ("http_request_duration_seconds_count", false),
    ("http_server_request_duration_seconds_count", false),
    ("vllm:request_success_total", true),
    ("time_travel_total_duration_seconds_count", false),
];

/// Histograms and summaries of times by well-known names, in seconds, and what gander measures of the
/// same.
const TIMES: [(&str, Metric); 5] = [
    ("http_request_duration_seconds", Metric::ServiceTime),
    ("http_server_request_duration_seconds", Metric::ServiceTime),
    ("vllm:e2e_request_latency_seconds", Metric::ServiceTime),
    ("vllm:time_to_first_token_seconds", Metric::TtftFromSend),
    ("time_travel_total_duration_seconds", Metric::ServiceTime),
];

/// A gauge that says how many real seconds a second is that the server states: the reference services
/// run faster than what they stand for.
const TIME_SCALE: &str = "time_travel_time_scale";
/// Families of times end so.
const SECONDS: &str = "_seconds";

/// What the server said of itself during a run.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Server {
    /// How often it was asked and answered.
    pub looks: usize,
    /// Seconds from the first look, before the load, to the last one, after it.
    pub seconds: f64,
    /// Each series, in the order in which they appeared.
    pub series: Vec<SeriesFigures>,
    /// The server's figures beside gander's, where both are known.
    pub compared: Vec<Compared>,
    /// Times of which it shows a sum and a count, in the measured part.
    pub times: Vec<Times>,
    /// Series that the scenario compares and the server does not show.
    pub missing: Vec<String>,
}

/// The times of one thing that the server does.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Times {
    /// The histogram or summary, all of its labels together.
    pub name: String,
    /// How many there were.
    pub count: f64,
    /// Increase of the sum over that of the count, in real milliseconds.
    pub mean_ms: f64,
    /// gander's mean, where it measures the same; of successes.
    pub client_mean_ms: Option<f64>,
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

/// A figure of the server beside gander's own.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Compared {
    /// What it is of, with its unit.
    pub what: String,
    /// The series that it is from.
    pub source: String,
    /// The server's figure.
    pub server: f64,
    /// gander's.
    pub client: f64,
    /// What gander's figure may be at least and at most to agree.
    pub agrees_within: (f64, f64),
    /// Whether it is.
    pub agrees: bool,
}

impl Compared {
    fn new(what: String, source: &str, server: f64, client: f64, within: (f64, f64)) -> Compared {
        let agrees = within.0 <= client && client <= within.1;
        Compared { what, source: source.to_owned(), server, client, agrees_within: within, agrees }
    }

    /// Two figures that agree where they are apart by no more than the tolerance.
    fn close(what: &str, source: &str, server: f64, client: f64) -> Compared {
        let within = (server * (1.0 - TOLERANCE), server / (1.0 - TOLERANCE));
        Compared::new(what.to_owned(), source, server, client, within)
    }
}

/// A series and its values: the time in seconds, and the value.
struct Track<'a> {
    series: &'a Series,
    points: Vec<(f64, f64)>,
    /// Whether the first look had it.
    from_start: bool,
}

impl Track<'_> {
    /// As `increase()` of Prometheus, without its extrapolation: a value that fell began anew at 0.
    fn increase(&self, within: (f64, f64)) -> f64 {
        let mut last = if self.from_start { None } else { Some(0.0) };
        let mut sum = 0.0;
        for &(at, value) in &self.points {
            if let Some(last) = last.filter(|_| within.0 < at && at <= within.1) {
                sum += if value >= last { value - last } else { value };
            }
            last = Some(value);
        }
        sum
    }

    fn is_of_load(&self) -> bool {
        self.series.labels.iter().all(|(_, value)| value != WATCHED)
    }
}

/// What the server said in `run`, whose figures are `summary`; `None` where it was not asked.
pub fn server(run: &Run, summary: &Summary) -> Option<Server> {
    let (first, last) = (run.scraped.first()?, run.scraped.last()?);
    let tracks = tracks(run);
    let (begin, end) = (first.at.as_secs_f64(), last.at.as_secs_f64());
    let whole = (begin, end);
    let series = tracks.iter().filter_map(|track| figures(track, whole)).collect();
    let plain = ScrapeRules::default();
    let rules = run.start.plan.scrape.as_ref().unwrap_or(&plain);
    let mut compared = Vec::new();
    compared.extend(requests(run, &tracks, rules, whole));
    compared.extend(errors(run, &tracks, whole));
    // The looks that hold the measured part between them.
    let ats = || run.scraped.iter().map(|look| look.at);
    let from = ats().rfind(|at| *at <= summary.window.start).unwrap_or(first.at);
    let to = ats().find(|at| *at >= summary.window.end).unwrap_or(last.at);
    let measured = (from.as_secs_f64(), to.as_secs_f64());
    let look = Look { summary, tracks: &tracks, within: measured, scale: time_scale(&tracks) };
    let same = same_times(rules);
    for (selector, metric) in &same {
        compared.extend(look.percentiles(selector, *metric));
        compared.extend(look.mean(selector, *metric));
    }
    let times = look.times(&same);
    let missing = missing(&tracks, rules);
    Some(Server {
        looks: run.scraped.len(),
        seconds: end - begin,
        series,
        compared,
        times,
        missing,
    })
}

/// What is held against which of gander's times.
fn same_times(rules: &ScrapeRules) -> Vec<(Selector, Metric)> {
    match &rules.response_time {
        // The server does not see how late a request was sent.
        Some(selector) => vec![(selector.clone(), Metric::ServiceTime)],
        None => TIMES.map(|(name, metric)| (Selector::of_name(name), metric)).into(),
    }
}

/// What the scenario compares, and the server does not show.
fn missing(tracks: &[Track<'_>], rules: &ScrapeRules) -> Vec<String> {
    let shows = |selector: &&Selector, ending: &str| {
        tracks.iter().any(|track| selector.takes(track.series, ending))
    };
    let requests = rules.requests.iter().filter(|selector| !shows(selector, ""));
    let times = rules.response_time.iter();
    let times = times.filter(|selector| !shows(selector, "_bucket") && !shows(selector, "_sum"));
    requests.chain(times).map(ToString::to_string).collect()
}

fn time_scale(tracks: &[Track<'_>]) -> f64 {
    let gauge = tracks.iter().find(|track| track.series.name == TIME_SCALE);
    gauge.and_then(|track| track.points.last()).map_or(1.0, |(_, scale)| *scale)
}

fn tracks(run: &Run) -> Vec<Track<'_>> {
    let mut tracks: Vec<Track<'_>> = Vec::new();
    // Which track a number stands for.
    let mut numbered: Vec<usize> = Vec::new();
    for (number, look) in run.scraped.iter().enumerate() {
        if look.is_first {
            numbered.clear();
        }
        for series in &look.new {
            let known = tracks.iter().position(|track| track.series == series);
            numbered.push(known.unwrap_or(tracks.len()));
            if known.is_none() {
                tracks.push(Track { series, points: Vec::new(), from_start: number == 0 });
            }
        }
        for (id, value) in &look.values {
            let track = numbered.get(*id as usize).and_then(|index| tracks.get_mut(*index));
            if let Some(track) = track {
                track.points.push((look.at.as_secs_f64(), *value));
            }
        }
    }
    tracks
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

/// Requests over the whole run: what the server counted, and what gander sent, attempts included.
fn requests(
    run: &Run,
    tracks: &[Track<'_>],
    rules: &ScrapeRules,
    whole: (f64, f64),
) -> Option<Compared> {
    let of = |selector: &Selector| -> Vec<&Track<'_>> {
        tracks.iter().filter(|t| selector.takes(t.series, "") && t.is_of_load()).collect()
    };
    let known = match &rules.requests {
        Some(selector) => vec![(selector.clone(), false)],
        None => REQUESTS.map(|(name, is_ok)| (Selector::of_name(name), is_ok)).into(),
    };
    let (selector, is_ok) = known.into_iter().find(|(selector, _)| !of(selector).is_empty())?;
    let server: f64 = of(&selector).iter().map(|track| track.increase(whole)).sum();
    let name = &selector.to_string();
    let ledger = run.ledger();
    let (what, client) = match is_ok {
        true => ("requests that succeeded", ledger.ended_in(Outcome::Ok)),
        false => ("requests", ledger.sent),
    };
    Some(Compared::close(what, name, server, client as f64))
}

/// Answers with a status from 400 on.
fn errors(run: &Run, tracks: &[Track<'_>], whole: (f64, f64)) -> Option<Compared> {
    let status = |track: &Track<'_>| -> Option<bool> {
        let status = STATUS.iter().find_map(|label| track.series.label(label))?;
        Some(status.starts_with(['4', '5']))
    };
    let name = "http_requests_total";
    let of = tracks.iter().filter(|track| track.series.name == name && track.is_of_load());
    let known: Vec<(&Track<'_>, bool)> =
        of.map(|track| Some((track, status(track)?))).collect::<Option<_>>()?;
    if known.is_empty() {
        return None;
    }
    let failed = known.iter().filter(|(_, is_error)| *is_error);
    let server: f64 = failed.map(|(track, _)| track.increase(whole)).sum();
    let ledger = run.ledger();
    let client = ledger.ended_in(Outcome::HttpStatus) + ledger.ended_in(Outcome::RateLimited);
    Some(Compared::close("answers with an error status", name, server, client as f64))
}

/// The times that the server shows, between two looks.
struct Look<'a> {
    summary: &'a Summary,
    tracks: &'a [Track<'a>],
    within: (f64, f64),
    /// Real seconds of one that the server states.
    scale: f64,
}

impl Look<'_> {
    /// Percentiles of a histogram, in milliseconds, beside gander's of the measured part. They agree
    /// where gander's lies in the bucket that the percentile falls into, or within the tolerance of its
    /// bounds.
    fn percentiles(&self, selector: &Selector, metric: Metric) -> Vec<Compared> {
        let Some(client) = self.summary.total.latency(metric) else { return Vec::new() };
        let mut buckets: Vec<(f64, f64)> = Vec::new();
        for track in self.of(selector, "_bucket") {
            let Some(bound) = track.series.label("le").and_then(|le| le.parse::<f64>().ok()) else {
                continue;
            };
            let increase = track.increase(self.within);
            match buckets.iter_mut().find(|(known, _)| *known == bound) {
                Some((_, sum)) => *sum += increase,
                None => buckets.push((bound, increase)),
            }
        }
        buckets.sort_by(|a, b| a.0.total_cmp(&b.0));
        let percentiles = [
            (0.50, "p50", client.p50_ms),
            (0.95, "p95", client.p95_ms),
            (0.99, "p99", client.p99_ms),
        ];
        let ms = self.scale * 1e3;
        let compared = percentiles.into_iter().filter_map(|(q, label, client_ms)| {
            let found = quantile(&buckets, q)?;
            let within = (found.low * ms * (1.0 - TOLERANCE), found.high * ms / (1.0 - TOLERANCE));
            let what = format!("{} {label}, ms", metric.label().to_lowercase());
            Some(Compared::new(what, &selector.to_string(), found.value * ms, client_ms, within))
        });
        compared.collect()
    }

    /// The mean of a summary, which has no buckets, in milliseconds, beside gander's: its percentiles
    /// are of another time than the measured part.
    fn mean(&self, selector: &Selector, metric: Metric) -> Option<Compared> {
        let client = self.summary.total.latency(metric)?;
        if self.of(selector, "_bucket").next().is_some() {
            return None;
        }
        let (_, mean_ms) = self.count_and_mean(selector)?;
        let what = format!("{} mean, ms", metric.label().to_lowercase());
        Some(Compared::close(&what, &selector.to_string(), mean_ms, client.mean_ms))
    }

    /// How many times were added to a histogram or summary, and their mean in milliseconds.
    fn count_and_mean(&self, selector: &Selector) -> Option<(f64, f64)> {
        let increase =
            |ending| self.of(selector, ending).map(|t| t.increase(self.within)).sum::<f64>();
        let (sum, count) = (increase("_sum"), increase("_count"));
        (count > 0.0).then(|| (count, sum / count * self.scale * 1e3))
    }

    /// All times of which the server shows a sum and a count; `same` are those that gander measures too.
    fn times(&self, same: &[(Selector, Metric)]) -> Vec<Times> {
        let mut names: Vec<&str> = Vec::new();
        for track in self.tracks.iter().filter(|track| track.series.kind == Kind::Counter) {
            let name = track.series.name.strip_suffix("_sum");
            names.extend(name.filter(|name| name.ends_with(SECONDS) && !names.contains(name)));
        }
        let of = |name: &str| {
            let (count, mean_ms) = self.count_and_mean(&Selector::of_name(name))?;
            let same = same.iter().find(|(s, _)| s.name == name && s.labels.is_empty());
            let client = same.and_then(|(_, metric)| self.summary.total.latency(*metric));
            let client_mean_ms = client.map(|client| client.mean_ms);
            Some(Times { name: name.to_owned(), count, mean_ms, client_mean_ms })
        };
        names.into_iter().filter_map(of).collect()
    }

    fn of(&self, selector: &Selector, ending: &str) -> impl Iterator<Item = &Track<'_>> {
        let takes = move |track: &&Track<'_>| selector.takes(track.series, ending);
        self.tracks.iter().filter(takes).filter(|track| track.is_of_load())
    }
}

/// A quantile of a histogram, and the bounds of the bucket that it falls into.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Quantile {
    value: f64,
    low: f64,
    high: f64,
}

/// The quantile `q` of cumulative `buckets` (upper bound, count), in the order of their bounds: linear
/// within the bucket that it falls into, as `histogram_quantile()` of Prometheus. In the last bucket,
/// which has no bound, it is the lower bound of that.
fn quantile(buckets: &[(f64, f64)], q: f64) -> Option<Quantile> {
    let total = buckets.last().filter(|(bound, _)| bound.is_infinite())?.1;
    if total <= 0.0 {
        return None;
    }
    let rank = q * total;
    let index = buckets.iter().position(|(_, count)| *count >= rank)?;
    let (low, below) = if index == 0 { (0.0, 0.0) } else { buckets[index - 1] };
    let (high, count) = buckets[index];
    let value = match high.is_infinite() || count <= below {
        true => low,
        false => low + (high - low) * (rank - below) / (count - below),
    };
    Some(Quantile { value, low, high })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_linear_within_their_bucket() {
        let buckets = [(0.125, 10.0), (0.25, 90.0), (0.5, 99.0), (f64::INFINITY, 100.0)];
        let at = |q| quantile(&buckets, q).unwrap();
        assert_eq!(at(0.5), Quantile { value: 0.1875, low: 0.125, high: 0.25 });
        assert_eq!(at(0.05), Quantile { value: 0.0625, low: 0.0, high: 0.125 });
        assert!(at(0.995).high.is_infinite() && at(0.995).value == 0.5);
        assert_eq!(quantile(&buckets[..3], 0.5), None, "without a last bucket");
        assert_eq!(quantile(&[(f64::INFINITY, 0.0)], 0.5), None);
    }

    #[test]
    fn a_counter_that_starts_anew_loses_nothing_and_one_that_appears_began_at_nothing() {
        let labels = Vec::new();
        let series = Series { name: "c".to_owned(), labels, kind: Kind::Counter };
        let track = |from_start, values: &[f64]| {
            let points = (0..).map(f64::from).zip(values.iter().copied()).collect();
            Track { series: &series, points, from_start }.increase((-1.0, 100.0))
        };
        assert_eq!(track(true, &[5.0, 8.0, 2.0, 4.0]), 3.0 + 2.0 + 2.0);
        assert_eq!(track(false, &[5.0, 8.0]), 8.0);
        assert_eq!(track(true, &[5.0]), 0.0);
    }
}
