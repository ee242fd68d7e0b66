//! What the target is asked about itself.

use std::ops::Range;
use std::time::Duration;

use url::Url;

use crate::measure::selector::{EVERY, JsonPage, JsonValue, Same, ScrapeRules, Selector};
use crate::scenario::errors::suggestion;
use crate::scenario::file::{CompareFile, ElementsFile, JsonPageFile, ScrapeFile};
use crate::scenario::json_path::JsonPath;
use crate::scenario::written::{At, Names, TextOr};

use super::Checker;

impl Checker<'_> {
    pub(super) fn scrape(&mut self, written: At<ScrapeFile>) -> Option<ScrapeRules> {
        let At { value: ScrapeFile { at, every, metrics, json, compare }, span } = written;
        let every = every.and_then(|text| self.scrape_every(&text)).unwrap_or(EVERY);
        let metrics = metrics.map(|metrics| self.patterns(metrics)).unwrap_or_default();
        if at.is_none() && json.is_empty() {
            let message = "it is not said where the target shows its own numbers";
            self.problem(&span, message, "expected `at = \"/metrics\"`, or `[[scrape.json]]`");
        }
        let at = at.map(|at| self.own_place(at));
        let json: Vec<JsonPage> =
            json.into_iter().filter_map(|page| self.json_page(page)).collect();
        self.named_twice(&json, &span);
        let compare = compare.map(|compare| self.compared(compare)).unwrap_or_default();
        if at.is_none() {
            self.only_in_json(&compare, &json);
        }
        let compare = compare.into_iter().map(|(same, selector)| (same, selector.value)).collect();
        Some(ScrapeRules { at, json, every, metrics, compare })
    }

    fn scrape_every(&mut self, text: &At<String>) -> Option<Duration> {
        let every = self.duration(text)?;
        if !ScrapeRules::may_be_every(every) {
            let message = format!("`{}` is no time from one look to the next", text.value);
            self.problem(&text.span, message, "expected a time from 100ms to 1h");
        }
        Some(every)
    }

    /// A path or URL.
    fn own_place(&mut self, at: At<String>) -> String {
        let is_url = || Url::parse(&at.value).is_ok_and(|u| matches!(u.scheme(), "http" | "https"));
        if !at.value.starts_with('/') && !is_url() {
            let message = format!("`{}` is no path and no URL", at.value);
            let label =
                "expected a path such as `/metrics`, or a URL that begins with http:// or https://";
            self.problem(&at.span, message, label);
        }
        at.value
    }

    fn json_page(&mut self, written: At<JsonPageFile>) -> Option<JsonPage> {
        let At { value: JsonPageFile { at, counters, values }, span } = written;
        if counters.is_empty() && values.is_empty() {
            let label =
                "expected `values = { breaker = \"circuit_breaker.state\" }`, or `counters`";
            self.problem(&span, "nothing of this page is kept", label);
        }
        let mut kept = Vec::new();
        for (name, path) in counters {
            let value = self.json_value(&name, &path, Vec::new());
            kept.extend(value.map(|value| JsonValue { is_counter: true, ..value }));
        }
        for (name, At { value, span }) in values {
            let (path, labels) = match value {
                TextOr::Text(path) => (Some(At { value: path, span: span.clone() }), Vec::new()),
                TextOr::Table(ElementsFile { path, labels }) => (path, labels),
            };
            let Some(path) = path else {
                let label = "expected { path = \"alerts\", labels = [\"severity\"] }";
                self.problem(&span, "it is not said where the list is", label);
                continue;
            };
            kept.extend(self.json_value(&name, &path, labels));
        }
        let Some(at) = at else {
            let message = "it is not said where this page is";
            self.problem(&span, message, "expected `at = \"/stats\"`");
            return None;
        };
        Some(JsonPage { at: self.own_place(at), values: kept })
    }

    fn json_value(
        &mut self,
        name: &At<String>,
        path: &At<String>,
        labels: Vec<At<String>>,
    ) -> Option<JsonValue> {
        let is_name = Selector::parse(&name.value)
            .is_some_and(|selector| !selector.name.is_empty() && selector.labels.is_empty());
        if !is_name {
            let message = format!("`{}` is no name of a value", name.value);
            let label = "expected letters, digits, `_` and dots, as `cache_hits`";
            self.problem(&name.span, message, label);
        }
        if let Err(why) = path.value.parse::<JsonPath>() {
            let message = format!("`{}` is no path", path.value);
            self.problem(&path.span, message, why);
        }
        let labels = labels.into_iter().map(|label| label.value).collect();
        let (name, path) = (name.value.clone(), path.value.clone());
        is_name.then_some(JsonValue { name, path, is_counter: false, labels })
    }

    /// Two values of one name would be one series.
    fn named_twice(&mut self, json: &[JsonPage], span: &Range<usize>) {
        let mut names: Vec<&str> =
            json.iter().flat_map(|page| &page.values).map(|value| &*value.name).collect();
        names.sort_unstable();
        if let Some(twice) = names.windows(2).find(|pair| pair[0] == pair[1]) {
            let message = format!("two values of `[[scrape.json]]` are named `{}`", twice[0]);
            self.problem(span, message, "give each a name of its own");
        }
    }

    /// Series that are compared, where there is no text format: they are values in JSON.
    fn only_in_json(&mut self, compare: &[(Same, At<Selector>)], json: &[JsonPage]) {
        let names = || json.iter().flat_map(|page| &page.values).map(|value| value.name.as_str());
        if names().next().is_none() {
            // That is complained of already.
            return;
        }
        for (_, At { value: selector, span }) in compare {
            if !names().any(|name| selector.is_inside(name)) {
                let message = format!("no page in JSON has a value `{}`", selector.name);
                self.problem(span, message, suggestion(&selector.name, names()));
            }
        }
    }

    fn compared(&mut self, written: CompareFile) -> Vec<(Same, At<Selector>)> {
        let CompareFile { requests, response_time, ttft, inter_chunk, tpot } = written;
        let all = [
            (Same::Requests, requests),
            (Same::ResponseTime, response_time),
            (Same::Ttft, ttft),
            (Same::InterChunk, inter_chunk),
            (Same::Tpot, tpot),
        ];
        let mut found = Vec::new();
        for (same, names) in all {
            for name in names.iter().flat_map(At::<Names>::names) {
                let span = name.span.clone();
                found.extend(self.selector(&name).map(|value| (same, At { value, span })));
            }
        }
        found
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
