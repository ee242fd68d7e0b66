//! What the target is asked about itself.

use url::Url;

use crate::measure::selector::{ScrapeRules, Selector};
use crate::scenario::file::ScrapeFile;
use crate::scenario::written::At;

use super::Checker;

impl Checker<'_> {
    pub(super) fn scrape(&mut self, written: At<ScrapeFile>) -> Option<ScrapeRules> {
        let At { value: ScrapeFile { at, metrics, compare }, span } = written;
        let metrics = metrics.map(|metrics| self.patterns(metrics)).unwrap_or_default();
        let (requests, response_time) = match compare {
            None => (None, None),
            Some(compare) => (
                compare.requests.and_then(|text| self.selector(&text)),
                compare.response_time.and_then(|text| self.selector(&text)),
            ),
        };
        let Some(at) = at else {
            let message = "it is not said where the target shows its own numbers";
            self.problem(&span, message, "expected `at = \"/metrics\"`");
            return None;
        };
        let is_url = || Url::parse(&at.value).is_ok_and(|u| matches!(u.scheme(), "http" | "https"));
        if !at.value.starts_with('/') && !is_url() {
            let message = format!("`{}` is no path and no URL", at.value);
            let label =
                "expected a path such as `/metrics`, or a URL that begins with http:// or https://";
            self.problem(&at.span, message, label);
        }
        Some(ScrapeRules { at: at.value, metrics, requests, response_time })
    }

    fn patterns(&mut self, metrics: At<Vec<At<String>>>) -> Vec<String> {
        if metrics.value.is_empty() {
            let label = "expected names such as `process_*`, or leave it out for all series";
            self.problem(&metrics.span, "no series is kept", label);
        }
        let is_part = |c: char| c.is_ascii_alphanumeric() || "_:*".contains(c);
        for pattern in &metrics.value {
            if pattern.value.is_empty() || !pattern.value.chars().all(is_part) {
                let message = format!("no series is named `{}`", pattern.value);
                let label =
                    "expected a name without labels, `*` for any characters, as `process_*`";
                self.problem(&pattern.span, message, label);
            }
        }
        metrics.value.into_iter().map(|pattern| pattern.value).collect()
    }

    fn selector(&mut self, text: &At<String>) -> Option<Selector> {
        let selector = Selector::parse(&text.value);
        if selector.is_none() {
            let message = format!("`{}` names no series", text.value);
            let label = "expected a name, with labels or without: `http_requests_total{handler=\"/predict\"}`";
            self.problem(&text.span, message, label);
        }
        selector
    }
}
