//! Which of a target's own numbers are meant, and where they are.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::metric::Metric;
use super::scrape::{Series, labels};

/// From one look to the next, where nothing else is asked for.
pub const EVERY: Duration = Duration::from_secs(1);

/// What is asked of a target's own numbers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScrapeRules {
    /// Where they are in the text format of Prometheus, if anywhere: a path on the target, or a URL.
    pub at: Option<String>,
    /// Pages in JSON, and what of them is kept.
    #[serde(default)]
    pub json: Vec<JsonPage>,
    /// From one look to the next. Runs of earlier versions looked once a second.
    #[serde(default = "each_second")]
    pub every: Duration,
    /// Names of the series of the text format that are kept, `*` for any characters; all where there
    /// are none.
    #[serde(default)]
    pub metrics: Vec<String>,
    /// What is held against gander's figures, in place of the well-known ones of that kind.
    #[serde(default)]
    pub compare: Vec<(Same, Selector)>,
}

fn each_second() -> Duration {
    EVERY
}

impl Default for ScrapeRules {
    fn default() -> Self {
        let (json, metrics, compare) = Default::default();
        ScrapeRules { at: None, json, every: EVERY, metrics, compare }
    }
}

impl ScrapeRules {
    /// Whether a series of the text format is kept. What is compared always is.
    pub fn keep(&self, series: &Series) -> bool {
        self.metrics.is_empty()
            || self.compare.iter().any(|(_, selector)| selector.is_part(series))
            || self.metrics.iter().any(|pattern| is_like(pattern, &series.name))
    }

    /// The paths that are asked for, on the target or elsewhere, without queries.
    pub fn paths(&self) -> impl Iterator<Item = &str> {
        let all = self.at.iter().chain(self.json.iter().map(|page| &page.at));
        all.map(|at| {
            let path = at.split_once("://").map_or(at.as_str(), |(_, rest)| {
                rest.find('/').map_or("/", |slash| &rest[slash..])
            });
            path.split(['?', '#']).next().unwrap_or(path)
        })
    }

    /// Whether looks may be so far apart: each costs both sides something, and a run without any has
    /// nothing to show.
    pub fn may_be_every(every: Duration) -> bool {
        (Duration::from_millis(100)..=Duration::from_secs(3600)).contains(&every)
    }

    /// The series that are held against gander's figure of this kind.
    pub fn compared(&self, same: Same) -> impl Iterator<Item = &Selector> {
        self.compare.iter().filter(move |(kind, _)| *kind == same).map(|(_, selector)| selector)
    }
}

/// A page of a target in JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JsonPage {
    /// A path on the target, or a URL.
    pub at: String,
    /// What of it is kept.
    pub values: Vec<JsonValue>,
}

/// A value of a page in JSON, and the series that it becomes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JsonValue {
    /// Name of the series.
    pub name: String,
    /// Path of the value, as in a scenario's `extract`.
    pub path: String,
    /// Whether it only grows, unless the target starts anew.
    #[serde(default)]
    pub is_counter: bool,
    /// Of a list of objects: keys whose texts tell its elements apart.
    #[serde(default)]
    pub labels: Vec<String>,
}

/// What gander measures too.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Same {
    /// Requests, attempts included.
    Requests,
    /// Time of a request.
    ResponseTime,
    /// Time to the first token of a stream.
    Ttft,
    /// Time between two chunks of a stream.
    InterChunk,
    /// Time of each output token of a stream, a figure for each request.
    Tpot,
}

impl Same {
    /// gander's time; requests have none. The server does not see how late a request was sent: its
    /// times are held against those from the send on.
    pub fn metric(self) -> Option<Metric> {
        match self {
            Same::Requests => None,
            Same::ResponseTime => Some(Metric::ServiceTime),
            Same::Ttft => Some(Metric::TtftFromSend),
            Same::InterChunk => Some(Metric::InterChunk),
            Same::Tpot => Some(Metric::Tpot),
        }
    }

    /// In words.
    pub fn words(self) -> &'static str {
        match self {
            Same::Requests => "requests",
            Same::ResponseTime => "response time",
            Same::Ttft => "time to first token",
            Same::InterChunk => "time between chunks",
            Same::Tpot => "time per output token",
        }
    }
}

/// Series by their name and some of their labels: `http_requests_total{handler="/predict"}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Selector {
    /// Name of the series, or of the histogram or summary.
    pub name: String,
    /// Labels that they have, among others.
    #[serde(default)]
    pub labels: Vec<(String, String)>,
}

impl Selector {
    /// Reads `name` or `name{label="value",…}`; `None` for anything else.
    pub fn parse(text: &str) -> Option<Selector> {
        let (name, rest) = text.split_at(text.find('{').unwrap_or(text.len()));
        // Names of values in JSON have dots.
        let is_part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | ':' | '.');
        let is_name = name.chars().all(is_part)
            && name.starts_with(|c: char| !c.is_ascii_digit() && c != '.');
        let labels = match rest.strip_prefix('{') {
            None => Vec::new(),
            Some(rest) => {
                let (labels, after) = labels(rest)?;
                after.is_empty().then_some(labels)?
            }
        };
        is_name.then(|| Selector { name: name.to_owned(), labels })
    }

    /// All series of a name.
    pub fn of_name(name: &str) -> Selector {
        Selector { name: name.to_owned(), labels: Vec::new() }
    }

    /// Whether a series has the name, with `ending` behind it, and the labels.
    pub fn takes(&self, series: &Series, ending: &str) -> bool {
        series.name.strip_suffix(ending) == Some(&*self.name)
            && self.labels.iter().all(|(name, value)| series.label(name) == Some(value))
    }

    /// Whether it names a value of a page in JSON by this name, or one inside of it.
    pub fn is_inside(&self, name: &str) -> bool {
        let rest = self.name.strip_prefix(name);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    }

    /// Whether a series is meant, or is a part of the histogram or summary that is.
    fn is_part(&self, series: &Series) -> bool {
        ["", "_bucket", "_sum", "_count"].into_iter().any(|ending| self.takes(series, ending))
    }
}

/// As it is written.
impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)?;
        if self.labels.is_empty() {
            return Ok(());
        }
        let labels = self.labels.iter().map(|(name, value)| format!("{name}={value:?}"));
        write!(f, "{{{}}}", labels.collect::<Vec<_>>().join(","))
    }
}

/// Whether `name` is as `pattern` says, in which `*` stands for any number of characters.
fn is_like(pattern: &str, name: &str) -> bool {
    let Some((first, rest)) = pattern.split_once('*') else { return pattern == name };
    let Some(mut left) = name.strip_prefix(first) else { return false };
    let (middle, last) = rest.rsplit_once('*').unwrap_or(("", rest));
    // The first place that fits leaves most for what follows.
    for part in middle.split('*') {
        match left.find(part) {
            Some(at) => left = &left[at + part.len()..],
            None => return false,
        }
    }
    left.ends_with(last)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::scrape::parse;
    use super::*;

    #[test]
    fn a_star_stands_for_any_characters() {
        for (pattern, name, expected) in [
            ("process_*", "process_cpu", true),
            ("process_*", "process_", true),
            ("process_*", "a_process_", false),
            ("*_total", "a_total", true),
            ("*_total", "a_totals", false),
            ("a*b*c", "a_b_b_c", true),
            ("a*b*b", "ab", false),
            ("a*a", "a", false),
            ("*", "", true),
            ("up", "ups", false),
        ] {
            assert_eq!(is_like(pattern, name), expected, "{pattern} {name}");
        }
    }

    #[test]
    fn a_selector_takes_the_series_with_its_name_and_labels() {
        let text = "t_count{handler=\"/a\",code=\"200\"} 1\nt_count{handler=\"/b\"} 2\nt 3\n";
        let series: Vec<Series> = parse(text).samples.into_iter().map(|(s, _)| s).collect();
        let taken = |text: &str, ending| -> Vec<bool> {
            let selector = Selector::parse(text).unwrap();
            series.iter().map(|series| selector.takes(series, ending)).collect()
        };
        assert_eq!(taken("t_count{handler=\"/a\"}", ""), [true, false, false]);
        assert_eq!(taken("t", "_count"), [true, true, false]);
        assert_eq!(taken("t", ""), [false, false, true]);
        for wrong in ["", "1a", "a b", "a{", "a{b}", "a{b=\"c\"} x", "a{b=c}"] {
            assert_eq!(Selector::parse(wrong), None, "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn arbitrary_text_is_read_without_a_panic(text in r#"([a-z_{}"=,*\\ 0-9é]|\PC){0,60}"#) {
            if let Some(selector) = Selector::parse(&text) {
                prop_assert_eq!(Selector::parse(&selector.to_string()).is_some(), true);
            }
            is_like(&text, "a_b_c");
        }

        #[test]
        fn a_pattern_made_of_a_name_matches_it(name in "[a-z_]{0,12}", cuts in any::<u16>()) {
            let holes = name.char_indices().map(|(i, c)| match cuts >> i & 1 {
                1 => '*',
                _ => c,
            });
            prop_assert!(is_like(&holes.collect::<String>(), &name));
        }
    }
}
