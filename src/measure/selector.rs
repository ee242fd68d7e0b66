//! Which of a target's own numbers are meant, and where they are.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::scrape::{Series, labels};

/// What is asked of a target's own numbers.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ScrapeRules {
    /// Where they are: a path on the target, or a URL.
    pub at: String,
    /// Names of the series that are kept, `*` for any characters; all where there are none.
    #[serde(default)]
    pub metrics: Vec<String>,
    /// Counter of requests that is held against gander's, in place of the well-known ones.
    #[serde(default)]
    pub requests: Option<Selector>,
    /// Histogram or summary in seconds that is held against gander's times, in place of the well-known
    /// ones.
    #[serde(default)]
    pub response_time: Option<Selector>,
}

impl ScrapeRules {
    /// Whether a series is kept. What is compared always is.
    pub fn keep(&self, series: &Series) -> bool {
        let mut compared = [&self.requests, &self.response_time].into_iter().flatten();
        self.metrics.is_empty()
            || compared.any(|selector| selector.is_part(series))
            || self.metrics.iter().any(|pattern| is_like(pattern, &series.name))
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
        let is_name = name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == ':')
            && name.starts_with(|c: char| !c.is_ascii_digit());
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
