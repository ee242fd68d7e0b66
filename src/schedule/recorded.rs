//! Recorded arrivals as files hold them.

use std::time::Duration;

use serde_json::Value;

use super::{NotUnderstood, Recorded};

/// A column or field with seconds since the start.
const OFFSET: &str = "at";
/// A column or field with time stamps, counted from the first one.
const STAMP: &str = "timestamp";

/// Longest time that arrivals may span: what is longer was no number of seconds.
const LONGEST_S: f64 = 366.0 * 24.0 * 3600.0;

impl Recorded {
    /// Reads the arrivals in the text of `file`, to be replayed `speed` times as fast. The ending of
    /// its name says how it is written: `.csv` and `.jsonl` have a column or field `at` (seconds
    /// since the start) or `timestamp` (ISO 8601 or seconds, counted from the first one); any other
    /// has one number of seconds since the start on each line.
    ///
    /// # Errors
    ///
    /// The first mistake with its line; arrivals that are not in order; a file without any.
    pub fn parse(file: &str, text: &str, speed: f64) -> Result<Recorded, NotUnderstood> {
        if !speed.is_finite() || speed <= 0.0 {
            return Err(NotUnderstood(format!("--speed {speed} is not a number above 0")));
        }
        let text = text.trim_start_matches('\u{feff}');
        let ending = file.rsplit_once('.').map(|(_, ending)| ending.to_ascii_lowercase());
        let lines = match ending.as_deref() {
            Some("csv") => of_csv(text),
            Some("jsonl" | "ndjson") => of_json_lines(text),
            _ => of_lines(text),
        };
        let place = |line: u64, why: String| NotUnderstood(format!("{file}, line {line}: {why}"));
        let lines = lines.map_err(|(line, why)| place(line, why))?;
        let first = match lines.first() {
            None => return Err(NotUnderstood(format!("{file} holds no arrival"))),
            Some(Line { is_stamp: true, seconds, .. }) => *seconds,
            Some(_) => 0.0,
        };
        let mut moments: Vec<Duration> = Vec::with_capacity(lines.len());
        for Line { number, seconds, .. } in lines {
            let since = seconds - first;
            // The limit is on what will be waited for: slowly replayed, a short file is long.
            let is_near = since <= LONGEST_S && since / speed <= LONGEST_S;
            let moment = Duration::try_from_secs_f64(since).ok().filter(|_| is_near);
            let last = moments.last().copied().unwrap_or_default();
            match moment {
                Some(moment) if moment >= last => moments.push(moment),
                Some(_) => {
                    let why = "this arrival is before the one above it: sort the file by time";
                    return Err(place(number, why.to_owned()));
                }
                None if since < 0.0 => {
                    return Err(place(number, "an arrival before the start".to_owned()));
                }
                None => {
                    let why = format!(
                        "an arrival {since} s after the start: expected seconds; time stamps go into \
                         a column `{STAMP}`"
                    );
                    return Err(place(number, why));
                }
            }
        }
        Ok(Recorded::new(file.to_owned(), &moments, speed))
    }
}

/// An arrival as written.
struct Line {
    /// From 1.
    number: u64,
    seconds: f64,
    /// Whether it is a time stamp, and not a time since the start.
    is_stamp: bool,
}

/// The line and what is wrong with it.
type Wrong = (u64, String);

fn of_lines(text: &str) -> Result<Vec<Line>, Wrong> {
    let lines = (1u64..).zip(text.lines()).filter(|(_, line)| !line.trim().is_empty());
    lines
        .map(|(number, line)| {
            let seconds = offset(line.trim()).map_err(|why| (number, why))?;
            Ok(Line { number, seconds, is_stamp: false })
        })
        .collect()
}

fn of_csv(text: &str) -> Result<Vec<Line>, Wrong> {
    let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::All).from_reader(text.as_bytes());
    let line_of = |error: &csv::Error| error.position().map_or(1, csv::Position::line);
    let header = reader.headers().map_err(|error| (line_of(&error), error.to_string()))?.clone();
    let column = |name: &str| header.iter().position(|column| column == name);
    let (column, is_stamp) = match (column(OFFSET), column(STAMP)) {
        (Some(column), _) => (column, false),
        (None, Some(column)) => (column, true),
        (None, None) => {
            let why = format!(
                "no column is named `{OFFSET}` or `{STAMP}`; there are: {}",
                header.iter().collect::<Vec<_>>().join(", ")
            );
            return Err((1, why));
        }
    };
    let mut lines = Vec::new();
    for record in reader.records() {
        let record = record.map_err(|error| (line_of(&error), error.to_string()))?;
        let number = record.position().map_or(0, csv::Position::line);
        let text = record.get(column).unwrap_or_default();
        let seconds = if is_stamp { stamp(text) } else { offset(text) };
        lines.push(Line { number, seconds: seconds.map_err(|why| (number, why))?, is_stamp });
    }
    Ok(lines)
}

fn of_json_lines(text: &str) -> Result<Vec<Line>, Wrong> {
    let lines = (1u64..).zip(text.lines()).filter(|(_, line)| !line.trim().is_empty());
    lines
        .map(|(number, line)| {
            let wrong = |why: String| (number, why);
            let object: Value = serde_json::from_str(line)
                .map_err(|_| wrong("expected one JSON object on each line".to_owned()))?;
            let (value, is_stamp) = match (object.get(OFFSET), object.get(STAMP)) {
                (Some(value), _) => (value, false),
                (None, Some(value)) => (value, true),
                (None, None) => {
                    return Err(wrong(format!("no field is named `{OFFSET}` or `{STAMP}`")));
                }
            };
            let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            let seconds = if is_stamp { stamp(&text) } else { offset(&text) };
            Ok(Line { number, seconds: seconds.map_err(wrong)?, is_stamp })
        })
        .collect()
}

fn offset(text: &str) -> Result<f64, String> {
    text.parse().ok().filter(|seconds: &f64| seconds.is_finite()).ok_or_else(|| {
        format!("`{}` is not a number of seconds since the start, as 12.5", text.escape_debug())
    })
}

/// Seconds since 1970, or since whatever the numbers count from.
fn stamp(text: &str) -> Result<f64, String> {
    if let Ok(seconds) = offset(text) {
        return Ok(seconds);
    }
    let zoned = text.parse::<jiff::Timestamp>().ok();
    // A time without a zone: only differences count.
    let local = || {
        Some(
            text.parse::<jiff::civil::DateTime>()
                .ok()?
                .to_zoned(jiff::tz::TimeZone::UTC)
                .ok()?
                .timestamp(),
        )
    };
    let stamp = zoned.or_else(local).ok_or_else(|| {
        format!("`{}` is not a time stamp, as 2026-01-31T12:00:00.250Z", text.escape_debug())
    })?;
    Ok(stamp.as_nanosecond() as f64 / 1e9)
}
