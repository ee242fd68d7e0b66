//! The headers of an answer beside its content type.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::http::{HeaderMap, HeaderName, HeaderValue};

use super::errors::Dialect;
use super::limits::Standing;

// Names that are ready: they are neither checked nor copied once an answer.
const LIMIT_REQUESTS: HeaderName = HeaderName::from_static("x-ratelimit-limit-requests");
const LIMIT_TOKENS: HeaderName = HeaderName::from_static("x-ratelimit-limit-tokens");
const REMAINING_REQUESTS: HeaderName = HeaderName::from_static("x-ratelimit-remaining-requests");
const REMAINING_TOKENS: HeaderName = HeaderName::from_static("x-ratelimit-remaining-tokens");
const RESET_REQUESTS: HeaderName = HeaderName::from_static("x-ratelimit-reset-requests");
const RESET_TOKENS: HeaderName = HeaderName::from_static("x-ratelimit-reset-tokens");
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const PROCESSING_MS: HeaderName = HeaderName::from_static("openai-processing-ms");

/// What the headers say where there is no limit: much, and always all of it.
const UNLIMITED_REQUESTS: HeaderValue = HeaderValue::from_static("1000000");
const UNLIMITED_TOKENS: HeaderValue = HeaderValue::from_static("1000000000");

const NOTHING: HeaderValue = HeaderValue::from_static("0");
const NOW: HeaderValue = HeaderValue::from_static("0s");

/// The headers of an answer that was worked on for `spent`.
pub(super) fn answered(
    headers: &mut HeaderMap,
    dialect: Dialect,
    standing: &Standing,
    spent: Duration,
) {
    headers.reserve(10);
    identify(headers, dialect, spent);
    let Standing { requests, tokens } = standing;
    match requests {
        Some(level) => {
            headers.insert(LIMIT_REQUESTS, HeaderValue::from(level.limit));
            headers.insert(REMAINING_REQUESTS, HeaderValue::from(level.remaining));
            headers.insert(RESET_REQUESTS, text(&span(level.reset)));
        }
        None => {
            headers.insert(LIMIT_REQUESTS, UNLIMITED_REQUESTS);
            headers.insert(REMAINING_REQUESTS, UNLIMITED_REQUESTS);
            headers.insert(RESET_REQUESTS, NOW);
        }
    }
    match tokens {
        Some(level) => {
            headers.insert(LIMIT_TOKENS, HeaderValue::from(level.limit));
            headers.insert(REMAINING_TOKENS, HeaderValue::from(level.remaining));
            headers.insert(RESET_TOKENS, text(&span(level.reset)));
        }
        None => {
            headers.insert(LIMIT_TOKENS, UNLIMITED_TOKENS);
            headers.insert(REMAINING_TOKENS, UNLIMITED_TOKENS);
            headers.insert(RESET_TOKENS, NOW);
        }
    }
}

/// The headers of an error that a fault makes. Where it is one of limits, nothing is left of these
/// for the time after which the client may come again.
pub(super) fn refused(headers: &mut HeaderMap, dialect: Dialect, retry_after: Option<Duration>) {
    identify(headers, dialect, Duration::ZERO);
    let left = |all| if retry_after.is_some() { NOTHING } else { all };
    let reset = retry_after.map_or(NOW, |time| text(&span(time)));
    headers.insert(LIMIT_REQUESTS, UNLIMITED_REQUESTS);
    headers.insert(LIMIT_TOKENS, UNLIMITED_TOKENS);
    headers.insert(REMAINING_REQUESTS, left(UNLIMITED_REQUESTS));
    headers.insert(REMAINING_TOKENS, left(UNLIMITED_TOKENS));
    headers.insert(RESET_REQUESTS, reset.clone());
    headers.insert(RESET_TOKENS, reset);
}

/// Who answered, and how long that took.
fn identify(headers: &mut HeaderMap, dialect: Dialect, spent: Duration) {
    // Counted over all services of the process: no two answers have the same.
    static ANSWERS: AtomicU64 = AtomicU64::new(0);
    let number = ANSWERS.fetch_add(1, Ordering::Relaxed);
    let id = text(&format!("req_{number:016x}"));
    if dialect == Dialect::Azure {
        headers.insert("apim-request-id", id.clone());
        headers.insert("x-ms-region", HeaderValue::from_static("Local"));
    }
    headers.insert(REQUEST_ID, id);
    let ms = match spent.as_millis() {
        0 => NOTHING,
        ms => HeaderValue::from(u64::try_from(ms).unwrap_or(u64::MAX)),
    };
    headers.insert(PROCESSING_MS, ms);
}

/// A time as these headers write it: `6ms`, `1.5s`, `2m30s`, `1h0m2s`; rounded up to milliseconds.
pub(super) fn span(time: Duration) -> String {
    let ms = time.as_micros().div_ceil(1_000);
    let (minutes, rest) = (ms / 60_000, ms % 60_000);
    let seconds = match rest % 1_000 {
        0 => format!("{}s", rest / 1_000),
        ms => format!("{}.{}s", rest / 1_000, format!("{ms:03}").trim_end_matches('0')),
    };
    match (minutes / 60, minutes % 60, ms) {
        (0, 0, 1..1_000) => format!("{ms}ms"),
        (0, 0, _) => seconds,
        (0, minutes, _) => format!("{minutes}m{seconds}"),
        (hours, minutes, _) => format!("{hours}h{minutes}m{seconds}"),
    }
}

fn text(text: &str) -> HeaderValue {
    HeaderValue::from_str(text).unwrap_or(NOTHING)
}
