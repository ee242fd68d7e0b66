//! Series and their values over the looks of a run.

use crate::measure::scrape::Series;
use crate::profile::USUAL_PLACE;
use crate::store::run::Run;

/// Paths that are asked for by whoever watches, and not by the load.
const WATCHED: [&str; 2] = ["/metrics", USUAL_PLACE];

/// A series and its values: the time in seconds, and the value.
pub(super) struct Track<'a> {
    pub series: &'a Series,
    pub points: Vec<(f64, f64)>,
    /// Whether it was there before its first value.
    pub from_start: bool,
    /// Whether it is not of what gander itself asks for beside the load, or others who watch.
    pub is_of_load: bool,
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
}

/// Paths that gander asked for beside the load of `run`, and others do who watch. A path that the load
/// asks for, too, is none: its requests cannot be told apart.
fn watched(run: &Run) -> Vec<&str> {
    let plan = &run.start.plan;
    let scraped = plan.scrape.iter().flat_map(|rules| rules.paths());
    let profiled = plan.profile.iter().filter_map(|options| options.endpoint.as_deref());
    let of_load =
        |path: &&str| plan.steps.iter().any(|step| step.path.split('?').next() == Some(*path));
    let asked = scraped.chain(profiled).filter(|path| !of_load(path));
    WATCHED.into_iter().chain(asked).collect()
}

/// All series of a run.
pub(super) fn tracks(run: &Run) -> Vec<Track<'_>> {
    let watched = watched(run);
    let is_watched =
        |series: &Series| series.labels.iter().any(|(_, value)| watched.contains(&value.as_str()));
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
                let is_of_load = !is_watched(series);
                tracks.push(Track { series, points: Vec::new(), from_start, is_of_load });
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
            Track { series: &series, points, from_start, is_of_load: true }.increase((-1.0, 100.0))
        };
        assert_eq!(track(true, &[5.0, 8.0, 2.0, 4.0]), 3.0 + 2.0 + 2.0);
        assert_eq!(track(false, &[5.0, 8.0]), 8.0);
        assert_eq!(track(true, &[5.0]), 0.0);
    }
}
