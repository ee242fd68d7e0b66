//! States of the server, and numbers of its parts that make a table.

use serde::Serialize;

use crate::measure::scrape::Kind;

use super::track::Track;

/// A state, or a kind of element of a list, and when it was so.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct State {
    /// Name and labels: `breaker{is="open"}`.
    pub state: String,
    /// Looks in which it was so.
    pub looks: usize,
    /// Looks that could have seen it.
    pub of_looks: usize,
    /// When it was first so, in seconds since the run's start.
    pub first_seconds: f64,
    /// When it was last so.
    pub last_seconds: f64,
    /// Whether it was so in the last look.
    pub is_last: bool,
    /// The most elements of the kind at once; 1 of a state.
    pub most: f64,
}

/// Parts of the server, and what the last look knows of each.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Grid {
    /// Name of the value in JSON that holds them.
    pub name: String,
    /// What is known of them.
    pub columns: Vec<String>,
    /// The parts; `None` where one does not have that number.
    pub rows: Vec<(String, Vec<Option<f64>>)>,
}

/// All states that were so in a look.
pub(super) fn states(tracks: &[Track<'_>]) -> Vec<State> {
    let states = tracks.iter().filter(|track| track.series.kind == Kind::State);
    let state = |track: &Track<'_>| {
        let is_so = track.points.iter().filter(|(_, value)| *value > 0.0);
        let ats: Vec<f64> = is_so.map(|(at, _)| *at).collect();
        let looks = looks_at(tracks, &track.series.name);
        Some(State {
            state: track.series.to_string(),
            looks: ats.len(),
            of_looks: looks.len(),
            first_seconds: *ats.first()?,
            last_seconds: *ats.last()?,
            is_last: ats.last() == looks.last(),
            most: track.points.iter().map(|(_, value)| *value).fold(0.0, f64::max),
        })
    };
    states.filter_map(state).collect()
}

/// When a value was seen, whichever state it was in.
fn looks_at(tracks: &[Track<'_>], name: &str) -> Vec<f64> {
    let of_name = tracks.iter().filter(|track| track.series.name == name);
    let mut ats: Vec<f64> = of_name.flat_map(|track| &track.points).map(|(at, _)| *at).collect();
    ats.sort_by(f64::total_cmp);
    ats.dedup();
    ats
}

/// Gauges named `NAME.PART.FIGURE`, where at least two parts have at least two figures each.
pub(super) fn grids(tracks: &[Track<'_>]) -> Vec<Grid> {
    let mut grids: Vec<Grid> = Vec::new();
    for track in tracks.iter().filter(|track| track.series.kind == Kind::Gauge) {
        let Some((rest, column)) = track.series.name.rsplit_once('.') else { continue };
        let Some((name, row)) = rest.rsplit_once('.') else { continue };
        let index = grids.iter().position(|grid| grid.name == name).unwrap_or_else(|| {
            let (columns, rows) = (Vec::new(), Vec::new());
            grids.push(Grid { name: name.to_owned(), columns, rows });
            grids.len() - 1
        });
        grids[index].put(row, column, track.points.last().map(|(_, value)| *value));
    }
    let is_one = |grid: &Grid| grid.rows.len() > 1 && grid.columns.len() > 1;
    grids.retain(is_one);
    grids
}

impl Grid {
    fn put(&mut self, row: &str, column: &str, value: Option<f64>) {
        let place = self.columns.iter().position(|known| known == column).unwrap_or_else(|| {
            self.columns.push(column.to_owned());
            self.rows.iter_mut().for_each(|(_, values)| values.push(None));
            self.columns.len() - 1
        });
        let index = self.rows.iter().position(|(known, _)| known == row).unwrap_or_else(|| {
            self.rows.push((row.to_owned(), vec![None; self.columns.len()]));
            self.rows.len() - 1
        });
        self.rows[index].1[place] = value;
    }

    /// Whether a series stands in it.
    pub fn has(&self, series: &str) -> bool {
        let rest = series.strip_prefix(&*self.name).and_then(|rest| rest.strip_prefix('.'));
        let parts = rest.and_then(|rest| rest.split_once('.'));
        parts.is_some_and(|(row, column)| {
            self.columns.iter().any(|known| known == column)
                && self.rows.iter().any(|(known, _)| known == row)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::scrape::Series;

    fn series(name: &str, is: Option<&str>) -> Series {
        let labels: Vec<_> = is.map(|is| ("is".to_owned(), is.to_owned())).into_iter().collect();
        let kind = if is.is_some() { Kind::State } else { Kind::Gauge };
        Series { name: name.to_owned(), labels, kind }
    }

    fn track<'a>(series: &'a Series, points: &[(f64, f64)]) -> Track<'a> {
        Track { series, points: points.to_vec(), from_start: true, is_of_load: true }
    }

    #[test]
    fn a_state_is_so_in_some_looks_and_not_in_others() {
        let (closed, open) = (series("breaker", Some("closed")), series("breaker", Some("open")));
        let tracks = [
            track(&closed, &[(0.0, 1.0), (1.0, 0.0), (2.0, 0.0), (3.0, 1.0)]),
            track(&open, &[(1.0, 1.0), (2.0, 1.0), (3.0, 0.0)]),
        ];
        let found = states(&tracks);
        assert_eq!((found[0].looks, found[0].of_looks, found[0].is_last), (2, 4, true));
        assert_eq!((found[1].looks, found[1].of_looks, found[1].is_last), (2, 4, false));
        assert_eq!((found[1].first_seconds, found[1].last_seconds), (1.0, 2.0));
    }

    #[test]
    fn parts_with_the_same_figures_make_a_table() {
        let names = ["b.x.count", "b.x.p95", "b.y.count", "b.z", "one.two.three", "plain"];
        let all: Vec<Series> = names.iter().map(|name| series(name, None)).collect();
        let tracks: Vec<Track<'_>> =
            all.iter().map(|one| track(one, &[(0.0, 1.0), (1.0, 2.0)])).collect();
        let found = grids(&tracks);
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!(found[0].columns, ["count", "p95"]);
        assert_eq!(found[0].rows[1], ("y".to_owned(), vec![Some(2.0), None]));
        assert_eq!(names.map(|name| found[0].has(name)), [true, true, true, false, false, false]);
    }
}
