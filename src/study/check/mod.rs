//! From what is written in a study's file to what is meant, with every mistake at its place.

mod chart;

use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use mock_server::document;

use super::file::{ExpectFile, LengthFile, PairFile, RowFile, RunFile, SectionFile, StudyFile};
use super::model::{Expectation, Length, Pair, Row, Section, Study, StudyRun};
use super::names::{Below, NAMES};
use super::words::{FILTERS, FUNCTIONS, Words};
use crate::analysis::diagnose::Cause;
use crate::scenario::ScenarioError;
use crate::scenario::errors::{Diagnostic, Source, Spot, suggestion};
use crate::scenario::written::{At, TextOr};
use crate::schedule::parse_duration;

/// Where a study does not say how long its runs are.
const FULL: Length = Length { duration: Duration::from_secs(10), slices: 3 };
const QUICK: Length = Length { duration: Duration::from_secs(3), slices: 1 };
/// Slices beyond which a number is a slip of the finger.
const MOST_SLICES: u32 = 100;
/// Words that a run cannot be called.
const RESERVED: [&str; 15] = [
    "and", "else", "false", "if", "in", "is", "loop", "none", "not", "or", "self", "true", "model",
    "range", "interval",
];

impl Study {
    /// Reads a study from its file.
    ///
    /// # Errors
    ///
    /// Everything that is wrong with it, each with its place.
    pub fn read(name: &str, source: &Arc<Source>) -> Result<Study, ScenarioError> {
        let file: StudyFile =
            document::read(source).map_err(|diagnostics| ScenarioError { diagnostics })?;
        let mut checker =
            Checker { source, words: Words::default(), problems: Vec::new(), runs: Vec::new() };
        let study = checker.study(name, file);
        match checker.problems.is_empty() {
            true => Ok(study),
            false => {
                checker
                    .problems
                    .sort_by_key(|problem| problem.spot.as_ref().map(|spot| spot.span.start));
                Err(ScenarioError { diagnostics: checker.problems })
            }
        }
    }
}

struct Checker<'a> {
    source: &'a Arc<Source>,
    words: Words,
    problems: Vec<Diagnostic>,
    /// Those that are known by now: all of them, when sections are checked.
    runs: Vec<StudyRun>,
}

impl Checker<'_> {
    fn spot(&self, span: &Range<usize>) -> Spot {
        Spot { source: Arc::clone(self.source), span: span.clone() }
    }

    fn wrong(&mut self, span: &Range<usize>, message: impl Into<String>, label: impl Into<String>) {
        let problem = Diagnostic::at(self.spot(span), message, label);
        self.problems.push(problem);
    }

    fn study(&mut self, name: &str, file: StudyFile) -> Study {
        let whole = 0..0;
        if file.title.is_none() {
            self.wrong(
                &whole,
                "a study needs a title",
                "`title = \"…\"`: the report begins with it",
            );
        }
        let full = self.length(file.length.full, FULL);
        let quick = self.length(file.length.quick, QUICK);
        if file.run.is_empty() {
            self.wrong(&whole, "nothing is run", "`[[run]]` with `name` and `command`");
        }
        for run in file.run {
            self.run(run);
        }
        let sections = file.section.into_iter().map(|section| self.section(section)).collect();
        Study {
            name: name.to_owned(),
            title: file.title.unwrap_or_default(),
            subject: file.subject,
            full,
            quick,
            runs: std::mem::take(&mut self.runs),
            sections,
            source: self.source.text.clone(),
        }
    }

    fn length(&mut self, file: Option<LengthFile>, default: Length) -> Length {
        let Some(LengthFile { duration, slices }) = file else { return default };
        let duration = duration.and_then(|text| match parse_duration(&text.value) {
            Ok(Duration::ZERO) => {
                self.wrong(&text.span, "a slice without length", "a time such as \"10s\"");
                None
            }
            Ok(duration) => Some(duration),
            Err(why) => {
                self.wrong(&text.span, why.to_string(), "a time such as \"10s\"");
                None
            }
        });
        Length {
            duration: duration.unwrap_or(default.duration),
            slices: self.slices(slices).unwrap_or(default.slices),
        }
    }

    fn slices(&mut self, slices: Option<At<u32>>) -> Option<u32> {
        let At { value, span } = slices?;
        if !(1..=MOST_SLICES).contains(&value) {
            let label = format!("a number from 1 to {MOST_SLICES}");
            self.wrong(&span, format!("{value} slices"), label);
            return None;
        }
        Some(value)
    }

    fn run(&mut self, At { value: file, span }: At<RunFile>) {
        let RunFile { name, about, command, ask, slices, full_only } = file;
        let Some(name) = name else {
            return self.wrong(&span, "a run needs a name", "`name = \"before\"`");
        };
        self.run_name(&name);
        let Some(command) = command else {
            let label = "`command = \"load inference-single --users 10\"`";
            return self.wrong(&span, format!("run `{}` does nothing", name.value), label);
        };
        let words = match shell_words::split(&command.value) {
            Ok(words) => words,
            Err(why) => {
                self.wrong(&command.span, format!("this is not a command: {why}"), "as in a shell");
                Vec::new()
            }
        };
        for (asked, path) in &ask {
            if NAMES.iter().any(|known| known.name == asked.value) {
                let message = format!("`{}` is the name of a figure already", asked.value);
                self.wrong(&asked.span, message, "another name");
            }
            if !path.value.starts_with('/') {
                self.wrong(&path.span, "this is not a path", "a path on the target, as \"/stats\"");
            }
        }
        let run = StudyRun {
            about: about.unwrap_or_else(|| name.value.replace('_', " ")),
            name: name.value,
            command: words,
            written: command.value,
            spot: self.spot(&command.span),
            ask: ask.into_iter().map(|(name, path)| (name.value, path.value)).collect(),
            slices: self.slices(slices),
            is_full_only: full_only,
        };
        self.runs.push(run);
    }

    fn run_name(&mut self, name: &At<String>) {
        let text = name.value.as_str();
        let is_plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
        if !text.starts_with(|c: char| c.is_ascii_lowercase()) || !text.chars().all(is_plain) {
            let label = "small letters, digits and `_`, a letter first: expressions name it";
            self.wrong(&name.span, format!("`{text}` cannot be the name of a run"), label);
        } else if RESERVED.contains(&text) {
            self.wrong(&name.span, format!("`{text}` is a word of expressions"), "another name");
        }
        if self.runs.iter().any(|run| run.name == text) {
            self.wrong(&name.span, format!("two runs are called `{text}`"), "the second one");
        }
    }

    fn section(&mut self, At { value: file, span }: At<SectionFile>) -> Section {
        let title = match file.title {
            Some(title) => title.value,
            None => {
                self.wrong(&span, "a section needs a title", "`title = \"…\"`");
                String::new()
            }
        };
        let level = file.level.map_or(1, |level| {
            if !(1..=3).contains(&level.value) {
                self.wrong(&level.span, "a heading this deep", "1, 2 or 3");
            }
            usize::from(level.value)
        });
        let text = file.text.map_or(Vec::new(), |text| {
            self.text(&text);
            let parts = text.value.split("\n\n").map(|part| part.trim().to_owned());
            parts.filter(|part| !part.is_empty()).collect()
        });
        let list = file.list.into_iter().map(|item| match item.value {
            TextOr::Text(text) => {
                let text = At { value: text, span: item.span };
                self.text(&text);
                (text.value, None)
            }
            TextOr::Table(item) => {
                self.text(&item.text);
                (item.text.value, item.when.map(|when| self.expression(when)))
            }
        });
        Section {
            title,
            level,
            text,
            list: list.collect(),
            when: file.when.map(|when| self.expression(when)),
            runs: file.runs.into_iter().map(|run| self.known(run)).collect(),
            compare: file.compare.into_iter().map(|pair| self.pair(pair.value)).collect(),
            rows: file.row.into_iter().map(|row| self.row(row, file.columns.len())).collect(),
            columns: file.columns,
            charts: file.chart.into_iter().filter_map(|chart| self.chart(chart)).collect(),
            diagnosis: file.diagnosis.into_iter().map(|run| self.known(run)).collect(),
            profile: file.profile.into_iter().map(|run| self.known(run)).collect(),
            expect: file.expect.into_iter().map(|expect| self.expect(expect)).collect(),
            category: file.category,
        }
    }

    fn pair(&mut self, PairFile { before, after, what }: PairFile) -> Pair {
        Pair { before: self.known(before), after: self.known(after), what }
    }

    fn row(&mut self, At { value: row, span }: At<RowFile>, columns: usize) -> Row {
        if row.cells.len() != columns {
            let message = format!("a row of {} cells in a table of {columns}", row.cells.len());
            self.wrong(&span, message, "one cell for each of `columns`");
        }
        row.cells.iter().for_each(|cell| self.text(cell));
        Row {
            cells: row.cells.into_iter().map(|cell| cell.value).collect(),
            when: row.when.map(|when| self.expression(when)),
            key: row.key.map(|key| self.expression(key)),
        }
    }

    fn expect(&mut self, At { value: file, span }: At<ExpectFile>) -> Expectation {
        if file.min.zip(file.max).is_some_and(|(min, max)| min > max) {
            self.wrong(&span, "nothing is within these bounds", "`min` is above `max`");
        }
        if let Some(shown) = &file.shown
            && !FILTERS.iter().any(|(filter, _)| *filter == shown.value)
        {
            self.no_filter(&shown.value, &shown.span);
        }
        Expectation {
            what: file.what,
            value: self.expression(file.value),
            min: file.min,
            max: file.max,
            shown: file.shown.map(|shown| shown.value),
            expected: file.expected,
            is_control: file.control,
        }
    }

    /// The name of a run that there is.
    fn known(&mut self, At { value: name, span }: At<String>) -> String {
        let names: Vec<&str> = self.runs.iter().map(|run| run.name.as_str()).collect();
        if !names.contains(&name.as_str()) {
            let label = suggestion(&name, names);
            self.wrong(&span, format!("there is no run `{name}`"), label);
        }
        name
    }

    fn expression(&mut self, At { value, span }: At<String>) -> String {
        match self.words.check_expression(&value) {
            Ok(names) => {
                self.names(&names, &span);
                self.filters(&value, &span);
            }
            Err(error) => self.unreadable("an expression", &error, &span),
        }
        value
    }

    fn text(&mut self, At { value, span }: &At<String>) {
        if value.contains("{%") {
            let label = "`when` for the whole, `a if b else c` in a hole";
            self.wrong(span, "a text has holes and nothing else of templates", label);
        }
        match self.words.check_text(value) {
            Ok(names) => {
                self.names(&names, span);
                value.split("{{").skip(1).for_each(|hole| {
                    let hole = hole.split("}}").next().unwrap_or_default();
                    self.filters(hole, span);
                });
            }
            Err(error) => self.unreadable("a text with holes", &error, span),
        }
    }

    fn filters(&mut self, text: &str, span: &Range<usize>) {
        for name in self.words.unknown_filters(text) {
            self.no_filter(&name, span);
        }
    }

    fn no_filter(&mut self, name: &str, span: &Range<usize>) {
        let label = suggestion(name, FILTERS.map(|(filter, _)| filter));
        self.wrong(span, format!("no filter `{name}`"), label);
    }

    fn unreadable(&mut self, what: &str, error: &minijinja::Error, span: &Range<usize>) {
        let detail = error.detail().map_or_else(|| error.kind().to_string(), str::to_owned);
        self.wrong(span, format!("this is not {what}: {detail}"), "as in `after.rps / before.rps`");
    }

    /// Looks whether everything that is named is there: `run`, `run.figure` or `run.figure.part`.
    fn names(&mut self, names: &[String], span: &Range<usize>) {
        // The longest forms say everything that the shorter ones do.
        let names: BTreeSet<&String> = names.iter().collect();
        for name in names {
            if let Some((message, label)) = self.misnamed(name) {
                self.wrong(span, message, label);
            }
        }
    }

    fn misnamed(&self, name: &str) -> Option<(String, String)> {
        let mut parts = name.split('.');
        let (run, figure, part) = (parts.next()?, parts.next(), parts.next());
        if FUNCTIONS.contains(&run) {
            return None;
        }
        let Some(known) = self.runs.iter().find(|known| known.name == run) else {
            let label = suggestion(run, self.runs.iter().map(|run| run.name.as_str()));
            return Some((format!("there is no run `{run}`"), label));
        };
        let figure = figure?;
        if known.ask.contains_key(figure) {
            return None;
        }
        let Some(found) = NAMES.iter().find(|name| name.name == figure) else {
            let asked = known.ask.keys().map(String::as_str);
            let label = suggestion(figure, NAMES.iter().map(|name| name.name).chain(asked));
            return Some((format!("a run has no figure `{figure}`"), label));
        };
        if let ("diagnosis", Some(part)) = (figure, part)
            && !Cause::ALL.iter().any(|cause| cause.name() == part)
        {
            let label = suggestion(part, Cause::ALL.iter().map(|cause| cause.name()));
            return Some((format!("no diagnosis is called `{part}`"), label));
        }
        match (found.below, part) {
            (Below::These(parts), Some(part)) if !parts.contains(&part) => {
                let label = suggestion(part, parts.iter().copied());
                Some((format!("`{figure}` has no `{part}`"), label))
            }
            (Below::Nothing, Some(part)) => {
                Some((format!("`{figure}` has no `{part}`: it is a number"), String::new()))
            }
            _ => None,
        }
    }
}
