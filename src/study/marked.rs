//! Marks in a study's texts: `` `code` `` and `**strong**`, and nothing else.

use crate::report::model::{Text, Tone};

/// `text` with its marks taken for what they say; a mark without its partner stands for itself.
pub fn marked(text: &str) -> Text {
    let mut all = Text::default();
    let mut rest = text;
    while let Some((before, mark, within, after)) = next(rest) {
        all = all.plain(before);
        all = match mark {
            "`" => all.code(within),
            _ => all.strong(Tone::Neutral, within),
        };
        rest = after;
    }
    all.plain(rest)
}

/// The first marked part: what is before it, its mark, what is within, and what comes after.
fn next(text: &str) -> Option<(&str, &'static str, &str, &str)> {
    let found = ["`", "**"].into_iter().filter_map(|mark| {
        let (before, rest) = text.split_once(mark)?;
        let (within, after) = rest.split_once(mark)?;
        (!within.is_empty()).then_some((before, mark, within, after))
    });
    found.min_by_key(|(before, ..)| before.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_are_taken_for_what_they_say() {
        let expected =
            Text::from("a ").code("b**c").plain(" and ").strong(Tone::Neutral, "d").plain(" e");
        assert_eq!(marked("a `b**c` and **d** e"), expected);
    }

    #[test]
    fn a_mark_without_a_partner_stands_for_itself() {
        for text in ["2 ** 3", "`", "**", "a ` b", "", "````"] {
            assert_eq!(
                format!("{:?}", marked(text)),
                format!("{:?}", Text::default().plain(text)),
                "{text}"
            );
        }
    }
}
