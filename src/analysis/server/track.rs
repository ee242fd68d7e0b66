//! Series and their values over the looks of a run.

use crate::measure::scrape::Series;
use crate::store::run::Run;

/// A path that is asked for by whoever watches, and not by the load.
const WATCHED: &str = "/metrics";

/// A series and its values: the time in seconds, and the value.
pub(super) struct Track<'a> {
    pub series: &'a Series,
    pub points: Vec<(f64, f64)>,
    /// Whether it was there before its first value.
    pub from_start: bool,
}

impl Track<'_> {
    /// As `increase()` of Prometheus, without its extrapolation: a value that fell began anew at 0.
    pub fn increase(&self, within: (f64, f64)) -> f64 {
        let mut last = if self.from_start { None } else { Some(0.0) };
        let mut sum = 0.0;
        for &(at, value) in &self.points {
            if let Some(last) = last.filter(|_| within.0 < at && at <= within.1) {
                sum += if value >= last { value - last } else { value };
            }
            last = Some(value);
        }
        sum
    }

    /// Whether it is not of what gander itself asks for.
    pub fn is_of_load(&self) -> bool {
        self.series.labels.iter().all(|(_, value)| value != WATCHED)
    }
}

/// All series of a run.
pub(super) fn tracks(run: &Run) -> Vec<Track<'_>> {
    let mut tracks: Vec<Track<'_>> = Vec::new();
    // Which track a number stands for.
    let mut numbered: Vec<usize> = Vec::new();
    for (number, look) in run.scraped.iter().enumerate() {
        if look.is_first {
            numbered.clear();
        }
        for series in &look.new {
            let known = tracks.iter().position(|track| track.series == series);
            numbered.push(known.unwrap_or(tracks.len()));
            if known.is_none() {
                let id = numbered.len() - 1;
                let is_old = || look.old.iter().any(|old| *old as usize == id);
                let from_start = number == 0 || is_old();
                tracks.push(Track { series, points: Vec::new(), from_start });
            }
        }
        for (id, value) in &look.values {
            let track = numbered.get(*id as usize).and_then(|index| tracks.get_mut(*index));
            if let Some(track) = track {
                track.points.push((look.at.as_secs_f64(), *value));
            }
        }
    }
    tracks
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::scrape::Kind;

    #[test]
    fn a_counter_that_starts_anew_loses_nothing_and_one_that_appears_began_at_nothing() {
        let labels = Vec::new();
        let series = Series { name: "c".to_owned(), labels, kind: Kind::Counter };
        let track = |from_start, values: &[f64]| {
            let points = (0..).map(f64::from).zip(values.iter().copied()).collect();
            Track { series: &series, points, from_start }.increase((-1.0, 100.0))
        };
        assert_eq!(track(true, &[5.0, 8.0, 2.0, 4.0]), 3.0 + 2.0 + 2.0);
        assert_eq!(track(false, &[5.0, 8.0]), 8.0);
        assert_eq!(track(true, &[5.0]), 0.0);
    }
}
