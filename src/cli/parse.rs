//! Values of options.

use std::num::NonZeroU32;
use std::time::Duration;

use url::Url;

use crate::measure::selector::ScrapeRules;

/// `30s`, `1m30s`, `500ms`.
pub fn duration(text: &str) -> Result<Duration, String> {
    crate::schedule::parse_duration(text).map_err(|e| e.to_string())
}

/// From 100 ms, for looks cost CPU, to a second, for the live figures need one.
pub fn observe_every(text: &str) -> Result<Duration, String> {
    let every = duration(text)?;
    let range = Duration::from_millis(100)..=Duration::from_secs(1);
    match range.contains(&every) {
        true => Ok(every),
        false => Err("expected a time from 100ms to 1s".to_owned()),
    }
}

/// From 100 ms to an hour: each look costs both sides something.
pub fn scrape_every(text: &str) -> Result<Duration, String> {
    let every = duration(text)?;
    match ScrapeRules::may_be_every(every) {
        true => Ok(every),
        false => Err("expected a time from 100ms to 1h".to_owned()),
    }
}

/// `http://HOST:PORT`, with the way to write it where it is something else.
pub fn url(text: &str) -> Result<Url, String> {
    match Url::parse(text) {
        Ok(url) if url.has_host() => Ok(url),
        _ => Err(format!(
            "expected a base URL with its scheme, as http://{}",
            text.trim_start_matches('/')
        )),
    }
}

/// `name=value`.
pub fn key_value(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.trim().is_empty() => {
            Ok((name.trim().trim_start_matches('-').to_owned(), value.trim().to_owned()))
        }
        _ => Err("expected NAME=VALUE, as engine=blocking".to_owned()),
    }
}

/// Whose connections are used: `user`, or `shared:N`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Connections {
    /// Each user has its own.
    User,
    /// All users share this many.
    Shared(NonZeroU32),
}

/// `user` or `shared:N`.
pub fn connections(text: &str) -> Result<Connections, String> {
    match text.split_once(':') {
        None if text == "user" => Ok(Connections::User),
        Some(("shared", count)) => count.parse().map(Connections::Shared).map_err(|_| {
            format!("{count:?} is not a number of connections from 1 on, as in shared:20")
        }),
        _ => Err("expected user, or shared:N, as shared:20".to_owned()),
    }
}
