//! The ledger in Prometheus' text format, under the names that FastAPI's instrumentation uses, and of
//! streams under those of vLLM.

use std::fmt::Write as _;

use super::snapshot::Times;
use super::{Account, Ledger};

/// The format's content type.
pub(crate) const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Upper bounds of the buckets of times, seconds.
const BOUNDS: [f64; 14] =
    [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0];

/// Times of streams: name, help, and where they are counted.
type OfStreams = (&'static str, &'static str, fn(&Account) -> &Times);

const STREAMS: [OfStreams; 2] = [
    (
        "vllm:time_to_first_token_seconds",
        "From the complete request to the first chunk with content handed over.",
        |account| account.streams.first_chunk(),
    ),
    ("vllm:inter_token_latency_seconds", "From one chunk with content to the next.", |account| {
        account.streams.gaps()
    }),
];

impl Ledger {
    /// Answered requests by method, route and status, their times, requests in flight and tokens.
    pub(crate) fn metrics(&self) -> String {
        // Written outside the lock: requests wait for the copy only.
        let (accounts, in_flight) = {
            let books = self.books();
            (books.routes.clone(), books.in_flight)
        };
        let mut text = String::new();
        // Writing into a string cannot fail.
        let _ = write(&mut text, &accounts, in_flight);
        text
    }
}

fn write(text: &mut String, accounts: &[Account], in_flight: u64) -> std::fmt::Result {
    writeln!(text, "# HELP http_requests_total Requests that were answered.")?;
    writeln!(text, "# TYPE http_requests_total counter")?;
    for account in accounts {
        let labels = labels(account);
        for (status, times) in &account.statuses {
            writeln!(
                text,
                "http_requests_total{{{labels},status=\"{status}\"}} {}",
                times.count()
            )?;
        }
    }
    let name = "http_request_duration_seconds";
    writeln!(text, "# HELP {name} From the complete request to the answer handed over.")?;
    writeln!(text, "# TYPE {name} histogram")?;
    for account in accounts {
        histogram(text, name, account, account.statuses.values())?;
    }
    for (name, help, times) in STREAMS {
        if accounts.iter().any(|account| times(account).count() > 0) {
            writeln!(text, "# HELP {name} {help}")?;
            writeln!(text, "# TYPE {name} histogram")?;
        }
        for account in accounts.iter().filter(|account| times(account).count() > 0) {
            histogram(text, name, account, std::iter::once(times(account)))?;
        }
    }
    writeln!(text, "# HELP http_requests_in_flight Requests that have not ended.")?;
    writeln!(text, "# TYPE http_requests_in_flight gauge")?;
    writeln!(text, "http_requests_in_flight {in_flight}")?;
    for (name, count) in [
        ("prompt_tokens_total", accounts.iter().map(|a| a.tokens.prompt).sum::<u64>()),
        ("generation_tokens_total", accounts.iter().map(|a| a.tokens.completion).sum::<u64>()),
    ] {
        writeln!(text, "# HELP {name} Tokens in answered requests.\n# TYPE {name} counter")?;
        writeln!(text, "{name} {count}")?;
    }
    Ok(())
}

/// Times of a route; the buckets hold as many as the ledger counts.
fn histogram<'a>(
    text: &mut String,
    name: &str,
    account: &Account,
    all: impl Iterator<Item = &'a Times> + Clone,
) -> std::fmt::Result {
    let labels = labels(account);
    for bound in BOUNDS {
        let count: u64 = all.clone().map(|times| times.count_up_to(bound)).sum();
        writeln!(text, "{name}_bucket{{{labels},le=\"{bound}\"}} {count}")?;
    }
    let count: u64 = all.clone().map(Times::count).sum();
    let seconds: f64 = all.map(Times::sum_seconds).sum();
    writeln!(text, "{name}_bucket{{{labels},le=\"+Inf\"}} {count}")?;
    writeln!(text, "{name}_sum{{{labels}}} {seconds}")?;
    writeln!(text, "{name}_count{{{labels}}} {count}")
}

/// A route is a pattern of the service's own, without anything to be escaped.
fn labels(account: &Account) -> String {
    format!("method=\"{}\",handler=\"{}\"", account.method, account.path)
}
