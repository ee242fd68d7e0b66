//! What is written in a study's file.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::scenario::written::{At, TextOr};

/// A gander study: runs that are compared, and the report that is made of them.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StudyFile {
    /// Title of the report.
    pub title: Option<String>,
    /// What is studied, in one line.
    pub subject: Option<String>,
    /// How long the runs are whose commands do not say it.
    #[serde(default)]
    pub length: LengthsFile,
    /// The runs.
    #[serde(default)]
    pub run: Vec<At<RunFile>>,
    /// The report, from top to bottom.
    #[serde(default)]
    pub section: Vec<At<SectionFile>>,
}

/// Lengths of the whole study and of `--quick`.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LengthsFile {
    /// Without `--quick`; slices of 10 s, three a run, where it is left out.
    pub full: Option<LengthFile>,
    /// With `--quick`; one slice of 3 s a run where it is left out.
    pub quick: Option<LengthFile>,
}

/// How long a run is: it is made in slices, and those of all runs take turns.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LengthFile {
    /// Measured time of a slice, as `"10s"`.
    pub duration: Option<At<String>>,
    /// Slices of each run, each with a target started anew where gander starts it.
    pub slices: Option<At<u32>>,
}

/// One of the runs that are compared.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RunFile {
    /// Name in expressions: small letters, digits and `_`, a letter first.
    pub name: Option<At<String>>,
    /// What it is, in a few words: tables show it.
    pub about: Option<String>,
    /// What follows `gander` on the command line: `load`, `profile` or `soak` and their options, as
    /// `"load inference-single --users 10"`. Where it says neither `--duration`, `--stages`,
    /// `--iterations` nor `--rows`, the study's length is added.
    pub command: Option<At<String>>,
    /// Paths that the target is asked for at the end of each slice; each answers with JSON, which
    /// expressions see under the name, as in `{ stats = "/stats" }`.
    #[serde(default)]
    pub ask: std::collections::BTreeMap<At<String>, At<String>>,
    /// Slices of this run, where it needs more or fewer than the others.
    pub slices: Option<At<u32>>,
    /// Whether `--quick` leaves it out.
    #[serde(default)]
    pub full_only: bool,
}

/// A part of the report with a heading. What it holds is shown in the order of these keys.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SectionFile {
    /// Heading.
    pub title: Option<At<String>>,
    /// Depth of the heading; 1 where it is left out.
    pub level: Option<At<u8>>,
    /// Expression: the section is shown only where it is true.
    pub when: Option<At<String>>,
    /// Running text with holes for figures; an empty line ends a paragraph.
    pub text: Option<At<String>>,
    /// Items, each a text with holes.
    #[serde(default)]
    pub list: Vec<At<TextOr<ItemFile>>>,
    /// Runs whose configuration and figures are shown side by side.
    #[serde(default)]
    pub runs: Vec<At<String>>,
    /// Two runs that are compared, with the interval of each change.
    #[serde(default)]
    pub compare: Vec<At<PairFile>>,
    /// Headings of a table.
    #[serde(default)]
    pub columns: Vec<String>,
    /// Its rows.
    #[serde(default)]
    pub row: Vec<At<RowFile>>,
    /// Pictures.
    #[serde(default)]
    pub chart: Vec<At<ChartFile>>,
    /// Runs of which is shown what they suffer from.
    #[serde(default)]
    pub diagnosis: Vec<At<String>>,
    /// Runs whose profiles are shown.
    #[serde(default)]
    pub profile: Vec<At<String>>,
    /// What must hold.
    #[serde(default)]
    pub expect: Vec<At<ExpectFile>>,
    /// What its expectations count as in the table of coverage.
    pub category: Option<String>,
}

/// An item that is shown on a condition.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ItemFile {
    /// The text.
    pub text: At<String>,
    /// Expression: the item is shown only where it is true.
    pub when: Option<At<String>>,
}

/// Two runs.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PairFile {
    /// The run before the change.
    pub before: At<String>,
    /// The run after it.
    pub after: At<String>,
    /// What is compared, in a few words.
    pub what: Option<String>,
}

/// A row of a table.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RowFile {
    /// A text with holes for each column.
    pub cells: Vec<At<String>>,
    /// Expression: the row is shown only where it is true.
    pub when: Option<At<String>>,
    /// Expression: rows stand in the order of its value, the largest first.
    pub key: Option<At<String>>,
}

/// A picture.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ChartFile {
    /// What is drawn.
    pub kind: At<ChartKind>,
    /// Title, where the usual one does not do; of a `curve`, what its two pictures are of.
    pub title: Option<String>,
    /// The runs that are drawn; of `latency` and `throughput` one.
    #[serde(default)]
    pub runs: Vec<At<String>>,
    /// Of a `curve`: the load of each of `runs`.
    #[serde(default)]
    pub at: Vec<f64>,
    /// Of a `curve`, name of the load, as `"Users"`; of `bars`, name and unit of the axis.
    pub axis: Option<String>,
    /// Of `bars` and a `waterfall`: what each value of a bar is, as `["expected", "measured"]`.
    #[serde(default)]
    pub series: Vec<String>,
    /// Of `bars` and a `waterfall`: the bars.
    #[serde(default)]
    pub bar: Vec<At<BarFile>>,
}

/// What is drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ChartKind {
    /// Response times of `runs`, percentile by percentile.
    Percentiles,
    /// Response times of a run over time, with bands of percentiles.
    Latency,
    /// Throughput and users of a run over time.
    Throughput,
    /// Resident memory of the targets of `runs` over time.
    Memory,
    /// Throughput and response time against the load, with the fitted scalability law.
    Curve,
    /// Figures side by side.
    Bars,
    /// Components one after the other, in milliseconds, before and after.
    Waterfall,
}

/// A bar, or a component.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BarFile {
    /// Its name.
    pub name: String,
    /// Expression of the value of each of `series`.
    pub values: Vec<At<String>>,
}

/// Something that must hold.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ExpectFile {
    /// What is judged, in words.
    pub what: String,
    /// Expression of its value: a number, or true or false.
    pub value: At<String>,
    /// Smallest value that is accepted.
    pub min: Option<f64>,
    /// Largest value that is accepted.
    pub max: Option<f64>,
    /// How the value is written: a filter, as `"x"` or `"ms"`.
    pub shown: Option<At<String>>,
    /// What the model expects, in words.
    pub expected: Option<String>,
    /// Whether it tests the study and gander, and not the service: a planted fault that must be seen,
    /// a setting that must be in force. The head of the report counts these apart.
    #[serde(default)]
    pub control: bool,
}
