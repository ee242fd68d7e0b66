//! When two questions are the same question.

/// The question in lower case, without white space around it, with one space for any white space in
/// it, and without punctuation at its end: "What is GPT-4?" and "  what is gpt-4 " are the same.
/// Normalising again changes nothing.
pub(super) fn normalise(question: &str) -> String {
    let words: Vec<&str> = question.split_whitespace().collect();
    let text = words.join(" ").to_lowercase();
    let is_end =
        |c: char| c.is_whitespace() || matches!(c, '?' | '!' | '.' | ',' | ';' | ':' | '…');
    text.trim_end_matches(is_end).to_owned()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::normalise;

    #[test]
    fn case_space_and_final_punctuation_do_not_matter() {
        for same in ["What is GPT-4?", "  what is gpt-4 ", "WHAT  IS\tGPT-4 ?!", "what is gpt-4."] {
            assert_eq!(normalise(same), "what is gpt-4");
        }
        assert_ne!(normalise("What is GPT-4?"), normalise("What is GPT-4o?"));
        assert_ne!(normalise("What is GPT-4?"), normalise("What is GPT 4?"));
    }

    proptest! {
        #[test]
        fn normalising_again_changes_nothing(question in ".{0,60}") {
            let once = normalise(&question);
            prop_assert_eq!(normalise(&once), once);
        }
    }
}
