//! What a study's file means.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::scenario::errors::Spot;

/// A study: what is run, and what is told of it.
#[derive(Debug, Clone)]
pub struct Study {
    /// Name of its file.
    pub name: String,
    /// Title of the report.
    pub title: String,
    /// What is studied.
    pub subject: Option<String>,
    /// Length of the runs, in full.
    pub full: Length,
    /// The same with `--quick`.
    pub quick: Length,
    /// The runs, in the order of the file.
    pub runs: Vec<StudyRun>,
    /// The report, from top to bottom.
    pub sections: Vec<Section>,
    /// Its text: kept with what was measured, so that the report can be made again.
    pub source: String,
}

impl Study {
    /// The runs of a study, of a quick one where it `is_quick`.
    pub fn runs(&self, is_quick: bool) -> impl Iterator<Item = &StudyRun> {
        self.runs.iter().filter(move |run| !(is_quick && run.is_full_only))
    }

    /// How long they are.
    pub fn length(&self, is_quick: bool) -> &Length {
        if is_quick { &self.quick } else { &self.full }
    }

    /// The run of that name.
    pub fn run(&self, name: &str) -> Option<&StudyRun> {
        self.runs.iter().find(|run| run.name == name)
    }
}

/// How long a run is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Length {
    /// Measured time of a slice.
    pub duration: Duration,
    /// Slices of each run.
    pub slices: u32,
}

/// A run of a study.
#[derive(Debug, Clone)]
pub struct StudyRun {
    /// Name in expressions.
    pub name: String,
    /// What it is.
    pub about: String,
    /// What follows `gander` on the command line, as written.
    pub written: String,
    /// The same word by word.
    pub command: Vec<String>,
    /// Where the command is written.
    pub spot: Spot,
    /// Paths that the target is asked for after each slice, by name.
    pub ask: BTreeMap<String, String>,
    /// Slices of its own.
    pub slices: Option<u32>,
    /// Whether a quick study leaves it out.
    pub is_full_only: bool,
}

/// A part of the report.
#[derive(Debug, Clone)]
pub struct Section {
    /// Heading.
    pub title: String,
    /// Its depth, from 1.
    pub level: usize,
    /// Whether it is shown.
    pub when: Option<String>,
    /// Paragraphs, with holes.
    pub text: Vec<String>,
    /// Items, with holes, and whether each is shown.
    pub list: Vec<(String, Option<String>)>,
    /// Runs side by side.
    pub runs: Vec<String>,
    /// Pairs that are compared.
    pub compare: Vec<Pair>,
    /// Headings of a table.
    pub columns: Vec<String>,
    /// Its rows.
    pub rows: Vec<Row>,
    /// Pictures.
    pub charts: Vec<Chart>,
    /// Runs of which is shown what they suffer from.
    pub diagnosis: Vec<String>,
    /// Runs whose profiles are shown.
    pub profile: Vec<String>,
    /// What must hold.
    pub expect: Vec<Expectation>,
    /// What it counts as in the table of coverage.
    pub category: Option<String>,
}

/// Two runs that are compared.
#[derive(Debug, Clone)]
pub struct Pair {
    /// Name of the run before.
    pub before: String,
    /// Name of the run after.
    pub after: String,
    /// What is compared.
    pub what: Option<String>,
}

/// A row of a table.
#[derive(Debug, Clone)]
pub struct Row {
    /// Texts with holes.
    pub cells: Vec<String>,
    /// Whether it is shown.
    pub when: Option<String>,
    /// Rows stand in the order of its value, the largest first.
    pub key: Option<String>,
}

/// A picture.
#[derive(Debug, Clone)]
pub struct Chart {
    /// Its title, where the usual one does not do.
    pub title: Option<String>,
    /// What is drawn.
    pub drawn: Drawn,
}

/// What a picture shows.
#[derive(Debug, Clone)]
pub enum Drawn {
    /// Response times of these runs, percentile by percentile.
    Percentiles(Vec<String>),
    /// Response times of a run over time.
    Latency(String),
    /// Throughput and users of a run over time.
    Throughput(String),
    /// Memory of the targets of these runs over time.
    Memory(Vec<String>),
    /// Throughput and response time against the load.
    Curve {
        /// Each load, and the run that had it.
        points: Vec<(f64, String)>,
        /// Name of the load.
        axis: String,
    },
    /// Figures side by side.
    Bars {
        /// Name and unit of the axis.
        axis: String,
        /// What each value of a bar is.
        series: Vec<String>,
        /// Names, and the expression of each value.
        bars: Vec<(String, Vec<String>)>,
    },
    /// Components one after the other.
    Waterfall {
        /// The two sides.
        sides: [String; 2],
        /// Names, and the expression of each side's milliseconds.
        components: Vec<(String, [String; 2])>,
    },
}

/// Something that must hold.
#[derive(Debug, Clone)]
pub struct Expectation {
    /// What is judged.
    pub what: String,
    /// Expression of its value.
    pub value: String,
    /// The smallest that is accepted.
    pub min: Option<f64>,
    /// The largest that is accepted.
    pub max: Option<f64>,
    /// Filter that writes the value.
    pub shown: Option<String>,
    /// What the model expects.
    pub expected: Option<String>,
    /// Whether it tests the study and gander, and not the service.
    pub is_control: bool,
}
