//! The form that speedscope opens, <https://www.speedscope.app/file-format-schema.json>.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::Folded;

/// `folded` as one sampled profile of speedscope, with samples as weights.
pub fn render(folded: &Folded, name: &str) -> Value {
    let mut places: BTreeMap<&str, usize> = BTreeMap::new();
    let mut frames = Vec::new();
    let mut samples = Vec::new();
    let mut weights = Vec::new();
    for (stack, times) in folded.stacks() {
        let stack: Vec<usize> = stack
            .iter()
            .map(|frame| {
                *places.entry(frame).or_insert_with(|| {
                    frames.push(json!({ "name": frame }));
                    frames.len() - 1
                })
            })
            .collect();
        samples.push(stack);
        weights.push(times);
    }
    json!({
        "$schema": "https://www.speedscope.app/file-format-schema.json",
        "name": name,
        "exporter": concat!("gander ", env!("CARGO_PKG_VERSION")),
        "activeProfileIndex": 0,
        "shared": { "frames": frames },
        "profiles": [{
            "type": "sampled",
            "name": name,
            "unit": "none",
            "startValue": 0,
            "endValue": folded.total(),
            "samples": samples,
            "weights": weights,
        }],
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_has_the_shape_that_the_schema_asks_for() {
        let folded = Folded::parse("main;a 3\nmain;b 2\nmain;b;a 1\n").expect("folded");
        let file = render(&folded, "target-cpu");
        let profile = &file["profiles"][0];
        assert_eq!(profile["type"], "sampled");
        assert_eq!(profile["endValue"], 6);
        assert_eq!(
            file["shared"]["frames"],
            json!([{"name": "main"}, {"name": "a"}, {"name": "b"}])
        );
        assert_eq!(profile["samples"], json!([[0, 1], [0, 2], [0, 2, 1]]));
        assert_eq!(profile["weights"], json!([3, 2, 1]));
    }
}
