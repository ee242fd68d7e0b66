use proptest::prelude::*;

use super::{changes, transitions};

fn lists(lists: &[&[&str]]) -> Vec<Vec<String>> {
    lists.iter().map(|list| list.iter().map(|text| (*text).to_owned()).collect()).collect()
}

#[test]
fn headings_with_items_below_them() {
    let text = "Here they are.\n\nTransition 1: Jan 2023 to Mar 2023\n- one\n- two\n\
                **Transition 2: Mar 2023 to May 2024**\n\n## Transition 3\n1. three\nfour";
    assert_eq!(transitions(text, 3), lists(&[&["one", "two"], &[], &["three", "four"]]));
}

#[test]
fn json_lists_bare_in_an_object_and_in_a_fence() {
    let expected = lists(&[&["one"], &["two", "three"]]);
    for text in [
        r#"[["one"], ["two", "three"]]"#,
        r#"{"note": "x", "transitions": [["one"], ["two", "three"]]}"#,
        "```json\n[[\"one\"], [\"two\", \"three\"]]\n```",
    ] {
        assert_eq!(transitions(text, 2), expected, "{text}");
    }
}

#[test]
fn without_headings_items_are_dealt_out_in_order() {
    assert_eq!(transitions("- a\n- b\n- c\n- d", 3), lists(&[&["a", "b"], &["c"], &["d"]]));
    assert_eq!(transitions("nothing but words", 2), lists(&[&["nothing but words"], &[]]));
    assert_eq!(transitions("", 2), lists(&[&[], &[]]));
}

#[test]
fn one_transition_is_its_items_or_its_lines() {
    assert_eq!(changes("Changes:\n- a\n2) b\n• c"), ["a", "b", "c"]);
    assert_eq!(changes("a\n\nb"), ["a", "b"]);
    assert_eq!(changes("- 1\n- 2\n- 3\n- 4\n- 5\n- 6").len(), 5);
}

proptest! {
    #[test]
    fn there_are_always_as_many_lists_as_transitions(text in "(Transition [0-9]|[-a-z0-9\\[\\]\"`., \n]){0,40}", count in 1_usize..6) {
        prop_assert_eq!(transitions(&text, count).len(), count);
    }
}
