//! The ledger in Prometheus' text format, under the names that FastAPI's instrumentation uses.

use std::fmt::Write as _;

use super::{Account, Ledger};

/// The format's content type.
pub(crate) const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Upper bounds of the buckets of times, seconds.
const BOUNDS: [f64; 14] =
    [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0];

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
        histogram(text, name, account)?;
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

/// The times of a route, whatever the status; the buckets hold as many as the ledger counts.
fn histogram(text: &mut String, name: &str, account: &Account) -> std::fmt::Result {
    let labels = labels(account);
    let all = || account.statuses.values();
    for bound in BOUNDS {
        let count: u64 = all().map(|times| times.count_up_to(bound)).sum();
        writeln!(text, "{name}_bucket{{{labels},le=\"{bound}\"}} {count}")?;
    }
    let count: u64 = all().map(super::Times::count).sum();
    let seconds: f64 = all().map(super::Times::sum_seconds).sum();
    writeln!(text, "{name}_bucket{{{labels},le=\"+Inf\"}} {count}")?;
    writeln!(text, "{name}_sum{{{labels}}} {seconds}")?;
    writeln!(text, "{name}_count{{{labels}}} {count}")
}

/// A route is a pattern of the service's own, without anything to be escaped.
fn labels(account: &Account) -> String {
    format!("method=\"{}\",handler=\"{}\"", account.method, account.path)
}
