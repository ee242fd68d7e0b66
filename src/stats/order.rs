//! What is read off sorted values.

/// The quantile `q` (0 to 1) of `values`, between neighbours by linear interpolation: definition 7 of
/// Hyndman and Fan (1996), "Sample quantiles in statistical packages". Infinite values are ordered like
/// all others; values that are no number are left out. `None` where nothing is left.
pub fn quantile(values: &[f64], q: f64) -> Option<f64> {
    let mut sorted: Vec<f64> = values.iter().copied().filter(|value| !value.is_nan()).collect();
    sorted.sort_by(f64::total_cmp);
    let last = sorted.len().checked_sub(1)?;
    let place = q.clamp(0.0, 1.0) * last as f64;
    let (below, above) = (sorted[place.floor() as usize], sorted[place.ceil() as usize]);
    // Between a finite value and an infinite one lies no other; two infinite ones have no difference.
    let share = place.fract();
    Some(if share == 0.0 || below == above { below } else { below + (above - below) * share })
}

/// The middle of `values`: half of them lie on either side.
pub fn median(values: &[f64]) -> Option<f64> {
    quantile(values, 0.5)
}

/// The middle of the means of all pairs, each value with itself included: Hodges and Lehmann (1963),
/// "Estimates of location based on rank tests". Nearly as exact as the mean where values are normal,
/// and hardly moved by one that is far off. Every pair is looked at: give it tens of values.
pub fn hodges_lehmann(values: &[f64]) -> Option<f64> {
    let from =
        |index: usize| values[index..].iter().map(move |other| (values[index] + other) / 2.0);
    let means: Vec<f64> = (0..values.len()).flat_map(from).collect();
    median(&means)
}

/// The largest difference between `values` as a share of their median. `None` where there are fewer
/// than two, or their median is 0.
pub fn spread(values: &[f64]) -> Option<f64> {
    let middle = median(values).filter(|middle| *middle != 0.0 && values.len() > 1)?;
    Some((quantile(values, 1.0)? - quantile(values, 0.0)?) / middle)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn quantiles_are_those_of_definition_seven() {
        let values = [4.0, 1.0, 3.0, 2.0];
        let found = [0.0, 0.25, 0.5, 1.0].map(|q| quantile(&values, q));
        assert_eq!(found, [Some(1.0), Some(1.75), Some(2.5), Some(4.0)]);
        assert_eq!(quantile(&[], 0.5), None);
        assert_eq!(median(&[1.0, f64::INFINITY, f64::INFINITY]), Some(f64::INFINITY));
        assert_eq!(spread(&[9.0, 10.0, 11.0]), Some(0.2));
        assert_eq!(spread(&[9.0]), None);
    }

    #[test]
    fn one_value_that_is_far_off_hardly_moves_the_middle() {
        assert_eq!(hodges_lehmann(&[1.0, 2.0, 6.0]), Some(2.75));
        assert_eq!(hodges_lehmann(&[1.0, 2.0, 3.0, 1e9]), Some(2.75));
        assert_eq!(hodges_lehmann(&[]), None);
    }

    proptest! {
        #[test]
        fn quantiles_rise_and_stay_among_the_values(
            values in prop::collection::vec(-1e6f64..1e6, 1..50), q in 0.0f64..=1.0, p in 0.0f64..=1.0
        ) {
            let at = |q| quantile(&values, q).expect("not empty");
            prop_assert!(at(q.min(p)) <= at(q.max(p)));
            prop_assert!(at(0.0) <= at(q) && at(q) <= at(1.0));
        }
    }
}
