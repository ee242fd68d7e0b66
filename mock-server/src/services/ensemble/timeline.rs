//! The points in time of which snapshots are made.

use jiff::Zoned;

/// One point in time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Point {
    /// Such as `2023-01-01`.
    pub date: String,
    /// Such as `Jan 2023`.
    pub label: String,
}

/// Points before today, with their labels.
const PAST: [(&str, &str); 3] =
    [("2023-01-01", "Jan 2023"), ("2023-03-01", "Mar 2023"), ("2024-05-01", "May 2024")];

/// The last `count` of the four points in time, in order: today is always among them.
pub(super) fn points(count: usize) -> Vec<Point> {
    let past = PAST.map(|(date, label)| Point { date: date.to_owned(), label: label.to_owned() });
    let today = Point { date: Zoned::now().date().to_string(), label: "Today".to_owned() };
    let left_out = (PAST.len() + 1).saturating_sub(count.max(1));
    past.into_iter().chain([today]).skip(left_out).collect()
}

#[cfg(test)]
mod tests {
    use super::points;

    #[test]
    fn today_is_always_among_them() {
        let labels = |count| points(count).into_iter().map(|p| p.label).collect::<Vec<_>>();
        assert_eq!(labels(4), ["Jan 2023", "Mar 2023", "May 2024", "Today"]);
        assert_eq!(labels(2), ["May 2024", "Today"]);
        assert_eq!(labels(0), ["Today"]);
        assert_eq!(labels(9).len(), 4);
    }
}
