//! The server's figures beside gander's, where both measure the same.

use serde::Serialize;

use crate::measure::metric::Metric;
use crate::measure::sample::Outcome;
use crate::measure::scrape::Kind;
use crate::measure::selector::{Same, ScrapeRules, Selector};
use crate::measure::summary::Summary;
use crate::store::run::Run;

use super::track::Track;

/// Figures that are apart by more than this share of the larger disagree (S1-13).
const TOLERANCE: f64 = 0.05;
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
/// same: those of FastAPI's instrumentation, OpenTelemetry, vLLM (the older and the newer name of its
/// time between tokens), SGLang and the ensemble.
const TIMES: [(&str, Same); 11] = [
    ("http_request_duration_seconds", Same::ResponseTime),
    ("http_server_request_duration_seconds", Same::ResponseTime),
    ("vllm:e2e_request_latency_seconds", Same::ResponseTime),
    ("sglang:e2e_request_latency_seconds", Same::ResponseTime),
    ("time_travel_total_duration_seconds", Same::ResponseTime),
    ("vllm:time_to_first_token_seconds", Same::Ttft),
    ("sglang:time_to_first_token_seconds", Same::Ttft),
    ("vllm:inter_token_latency_seconds", Same::InterChunk),
    ("vllm:time_per_output_token_seconds", Same::InterChunk),
    ("sglang:inter_token_latency_seconds", Same::InterChunk),
    ("vllm:request_time_per_output_token_seconds", Same::Tpot),
];

/// A gauge that says how many real seconds a second is that the server states: the reference services
/// run faster than what they stand for.
const TIME_SCALE: &str = "time_travel_time_scale";
/// Families of times end so.
const SECONDS: &str = "_seconds";
/// What an object in JSON has of times: how many, and their mean in milliseconds.
const COUNT: &str = ".count";
const MEAN_MS: &str = ".mean_ms";

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

/// What is held against which of gander's times: what the scenario names, or else what is well known.
pub(super) fn same_times(rules: &ScrapeRules) -> Vec<(Selector, Metric)> {
    let named = rules.compare.iter().cloned();
    let known = TIMES.iter().map(|(name, same)| (*same, Selector::of_name(name)));
    let known = known.filter(|(same, _)| rules.compared(*same).next().is_none());
    named.chain(known).filter_map(|(same, selector)| Some((selector, same.metric()?))).collect()
}

/// What the scenario compares, and the server does not show.
pub(super) fn missing(tracks: &[Track<'_>], rules: &ScrapeRules) -> Vec<String> {
    let shows = |selector: &Selector, endings: &[&str]| {
        let takes =
            |track: &Track<'_>| endings.iter().any(|ending| selector.takes(track.series, ending));
        tracks.iter().any(takes)
    };
    let is_missing = |(same, selector): &&(Same, Selector)| match same {
        Same::Requests => !shows(selector, &[""]),
        _ => !shows(selector, &["_bucket", "_sum", MEAN_MS]),
    };
    rules.compare.iter().filter(is_missing).map(|(_, selector)| selector.to_string()).collect()
}

/// Real seconds of one that the server states.
pub(super) fn time_scale(tracks: &[Track<'_>]) -> f64 {
    let gauge = tracks.iter().find(|track| track.series.name == TIME_SCALE);
    gauge.and_then(|track| track.points.last()).map_or(1.0, |(_, scale)| *scale)
}

/// Requests over the whole run: what the server counted, and what gander sent, attempts included.
pub(super) fn requests(
    run: &Run,
    tracks: &[Track<'_>],
    rules: &ScrapeRules,
    whole: (f64, f64),
) -> Vec<Compared> {
    let of = |selector: &Selector| -> Vec<&Track<'_>> {
        tracks.iter().filter(|t| selector.takes(t.series, "") && t.is_of_load).collect()
    };
    let is_shown = |selector: &Selector| !of(selector).is_empty();
    let mut found: Vec<(Selector, bool)> = rules
        .compared(Same::Requests)
        .filter(|selector| is_shown(selector))
        .map(|selector| (selector.clone(), false))
        .collect();
    if rules.compared(Same::Requests).next().is_none() {
        let known = REQUESTS.iter().map(|(name, is_ok)| (Selector::of_name(name), *is_ok));
        found.extend({ known }.find(|(selector, _)| is_shown(selector)));
    }
    let ledger = run.ledger();
    let compared = |(selector, is_ok): (Selector, bool)| {
        let server: f64 = of(&selector).iter().map(|track| track.increase(whole)).sum();
        let (what, client) = match is_ok {
            true => ("requests that succeeded", ledger.ended_in(Outcome::Ok)),
            false => ("requests", ledger.sent),
        };
        Compared::close(what, &selector.to_string(), server, client as f64)
    };
    found.into_iter().map(compared).collect()
}

/// Answers with a status from 400 on.
pub(super) fn errors(run: &Run, tracks: &[Track<'_>], whole: (f64, f64)) -> Option<Compared> {
    let status = |track: &Track<'_>| -> Option<bool> {
        let status = STATUS.iter().find_map(|label| track.series.label(label))?;
        Some(status.starts_with(['4', '5']))
    };
    let name = "http_requests_total";
    let of = tracks.iter().filter(|track| track.series.name == name && track.is_of_load);
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
pub(super) struct Look<'a> {
    /// gander's figures.
    pub summary: &'a Summary,
    /// The server's series.
    pub tracks: &'a [Track<'a>],
    /// From the one look to the other, in seconds.
    pub within: (f64, f64),
    /// Real seconds of one that the server states.
    pub scale: f64,
}

impl Look<'_> {
    /// Percentiles of a histogram, in milliseconds, beside gander's of the measured part. They agree
    /// where gander's lies in the bucket that the percentile falls into, or within the tolerance of its
    /// bounds.
    pub fn percentiles(&self, selector: &Selector, metric: Metric) -> Vec<Compared> {
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
    pub fn mean(&self, selector: &Selector, metric: Metric) -> Option<Compared> {
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
        let (mut sum, mut count) = (increase("_sum"), increase("_count"));
        for (times, means) in self.of(selector, COUNT).zip(self.of(selector, MEAN_MS)) {
            count += times.increase(self.within);
            sum += self.total_ms(times, means) / 1e3;
        }
        (count > 0.0).then(|| (count, sum / count * self.scale * 1e3))
    }

    /// What all times of an object in JSON grew by together: its mean is of all since the server
    /// started, so that the count times it is their sum.
    fn total_ms(&self, times: &Track<'_>, means: &Track<'_>) -> f64 {
        let mean_at = |at: f64| means.points.iter().find(|(other, _)| *other == at);
        let total = |(at, count): &(f64, f64)| Some((*at, count * mean_at(*at)?.1));
        let points = times.points.iter().filter_map(total).collect();
        Track { points, ..*times }.increase(self.within)
    }

    /// All times of which the server shows a sum and a count; `same` are those that gander measures too.
    pub fn times(&self, same: &[(Selector, Metric)]) -> Vec<Times> {
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
        self.tracks.iter().filter(takes).filter(|track| track.is_of_load)
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
}
