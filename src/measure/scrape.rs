//! What a target says of itself: series, and the text format of Prometheus that most are read from.
//!
//! Source: the exposition formats of Prometheus 0.0.4 and of OpenMetrics 1.0.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::sample::Offset;

/// A series: a name and its labels, in the order of their names.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Series {
    /// Name, such as `http_requests_total`.
    pub name: String,
    /// Labels and their values.
    pub labels: Vec<(String, String)>,
    /// What its values are.
    pub kind: Kind,
}

impl Series {
    /// The value of a label.
    pub fn label(&self, name: &str) -> Option<&str> {
        let found = self.labels.iter().find(|(label, _)| label == name);
        found.map(|(_, value)| value.as_str())
    }
}

/// As the text format writes it: `http_requests_total{method="POST",status="200"}`.
impl fmt::Display for Series {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)?;
        if self.labels.is_empty() {
            return Ok(());
        }
        let labels = self.labels.iter().map(|(name, value)| format!("{name}={value:?}"));
        write!(f, "{{{}}}", labels.collect::<Vec<_>>().join(","))
    }
}

/// What the values of a series are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// They only grow, unless the target starts anew: counters, and the buckets, sums and counts of
    /// histograms and summaries.
    Counter,
    /// They go up and down.
    Gauge,
    /// How many times something is so: 1 where a state is the present one, and 0 where it is not.
    State,
}

/// One look at the target's own numbers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Scraped {
    /// When the answer was there.
    pub at: Offset,
    /// Whether series are numbered anew from here on: the first look, and the first after a run went on.
    #[serde(default)]
    pub is_first: bool,
    /// Series that no earlier look had; they are numbered in the order in which they appear.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub new: Vec<Series>,
    /// Numbers of those of them that were there before: their page answered for the first time, and
    /// not in the first look. Other new counters began at 0.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub old: Vec<u32>,
    /// Numbers of series, and their values. A value that is no finite number is left out.
    pub values: Vec<(u32, f64)>,
}

/// What a text in the format of Prometheus holds.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Exposition {
    /// Series and their values, in order.
    pub samples: Vec<(Series, f64)>,
    /// The first line that could not be read, counted from 1, and how many there are.
    pub unread: Option<(usize, usize)>,
}

/// Reads `text`. What is no sample and no comment is counted, and the rest is read all the same. Time
/// stamps are left out: when a value was asked for is what counts.
pub fn parse(text: &str) -> Exposition {
    let mut types = BTreeMap::new();
    let mut exposition = Exposition::default();
    for (number, line) in (1..).zip(text.lines()) {
        let line = line.trim();
        if let Some(comment) = line.strip_prefix('#') {
            let mut words = comment.split_whitespace();
            if let (Some("TYPE"), Some(name), Some(kind)) =
                (words.next(), words.next(), words.next())
            {
                types.insert(name, kind);
            }
            if comment.trim() == "EOF" {
                break;
            }
            continue;
        }
        if line.is_empty() {
            continue;
        }
        match sample(line) {
            Some((name, mut labels, value)) => {
                labels.sort();
                let kind = kind(&types, &name);
                exposition.samples.push((Series { name, labels, kind }, value));
            }
            None => {
                let (first, count) = exposition.unread.unwrap_or((number, 0));
                exposition.unread = Some((first, count + 1));
            }
        }
    }
    exposition
}

/// What a series is by the declared type of its family. One without a type is a counter where its name
/// says so.
fn kind(types: &BTreeMap<&str, &str>, name: &str) -> Kind {
    let stem = |ending| name.strip_suffix(ending).and_then(|family| types.get(family));
    let part = [stem("_bucket"), stem("_sum"), stem("_count")].into_iter().flatten().next();
    match (types.get(name), part, stem("_total")) {
        (Some(&"counter"), ..) | (None, None, Some(&"counter")) => Kind::Counter,
        (None, Some(&("histogram" | "summary")), _) => Kind::Counter,
        (None | Some(&("untyped" | "unknown")), ..) if name.ends_with("_total") => Kind::Counter,
        _ => Kind::Gauge,
    }
}

type Sample = (String, Vec<(String, String)>, f64);

/// `name{label="value",…} value [time stamp] [# exemplar]`.
fn sample(line: &str) -> Option<Sample> {
    let end = line.find(|c: char| c == '{' || c.is_whitespace())?;
    let (name, rest) = line.split_at(end);
    is_name(name).then_some(())?;
    let (labels, rest) = match rest.trim_start().strip_prefix('{') {
        Some(rest) => labels(rest)?,
        None => (Vec::new(), rest),
    };
    let value = rest.split_whitespace().next()?;
    // `+Inf`, `-Inf` and `NaN` are read by this too.
    Some((name.to_owned(), labels, value.parse().ok()?))
}

fn is_name(name: &str) -> bool {
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == ':';
    !name.is_empty() && name.chars().all(is_part) && !name.starts_with(|c: char| c.is_ascii_digit())
}

/// The labels up to `}`, and what follows it.
pub(super) fn labels(mut rest: &str) -> Option<(Vec<(String, String)>, &str)> {
    let mut labels = Vec::new();
    loop {
        rest = rest.trim_start();
        if let Some(after) = rest.strip_prefix('}') {
            return Some((labels, after));
        }
        let (name, after) = rest.split_once('=')?;
        let name = name.trim();
        is_name(name).then_some(())?;
        let (value, after) = quoted(after.trim_start().strip_prefix('"')?)?;
        labels.push((name.to_owned(), value));
        rest = after.trim_start();
        rest = match rest.strip_prefix(',') {
            Some(after) => after,
            None if rest.starts_with('}') => rest,
            None => return None,
        };
    }
}

/// A value up to its closing quote, and what follows it. Only `\\`, `\"` and `\n` are escapes.
fn quoted(text: &str) -> Option<(String, &str)> {
    let (mut value, mut chars) = (String::new(), text.char_indices());
    while let Some((index, c)) = chars.next() {
        match c {
            '"' => return Some((value, &text[index + 1..])),
            '\\' => match chars.next()?.1 {
                'n' => value.push('\n'),
                c @ ('\\' | '"') => value.push(c),
                other => value.extend(['\\', other]),
            },
            c => value.push(c),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TEXT: &str = r#"# HELP http_requests_total Requests.
# TYPE http_requests_total counter
http_requests_total{method="post",code="200"} 1027 1395066363000
http_requests_total{code="400",path="C:\\DIR\\\"x\"\n,}"} 3
# TYPE t histogram
t_bucket{le="0.05"} 24054
t_bucket{le="+Inf"} 144320 # {trace="a"} 0.67
t_sum 53423
# TYPE up gauge
up NaN
other_total 4
rpc{quantile="0.5",} +Inf
this is no line
# EOF
after 1
"#;

    #[test]
    fn types_labels_escapes_and_time_stamps_are_read() {
        let read = parse(TEXT);
        let shown: Vec<String> =
            read.samples.iter().map(|(s, v)| format!("{s} {:?} {v}", s.kind)).collect();
        assert_eq!(
            shown,
            [
                r#"http_requests_total{code="200",method="post"} Counter 1027"#,
                r#"http_requests_total{code="400",path="C:\\DIR\\\"x\"\n,}"} Counter 3"#,
                r#"t_bucket{le="0.05"} Counter 24054"#,
                r#"t_bucket{le="+Inf"} Counter 144320"#,
                "t_sum Counter 53423",
                "up Gauge NaN",
                "other_total Counter 4",
                r#"rpc{quantile="0.5"} Gauge inf"#,
            ]
        );
        assert_eq!(read.unread, Some((13, 1)));
    }

    proptest! {
        #[test]
        fn arbitrary_text_is_read_without_a_panic(text in r#"([a-z_{}"=,\\ \n#.0-9é]|\PC){0,200}"#) {
            let lines = text.lines().count();
            let read = parse(&text);
            prop_assert!(read.samples.len() + read.unread.map_or(0, |(_, n)| n) <= lines);
        }

        #[test]
        fn what_was_written_is_read_back(
            value in r#"[^\r\u{85}]{0,20}"#,
            number in -1e12f64..1e12,
        ) {
            let escaped = value.replace('\\', r"\\").replace('"', "\\\"").replace('\n', r"\n");
            let read = parse(&format!("name{{label=\"{escaped}\"}} {number}\n"));
            prop_assert_eq!(read.unread, None);
            let (series, read) = &read.samples[0];
            prop_assert_eq!((series.label("label"), *read), (Some(value.as_str()), number));
        }
    }
}
