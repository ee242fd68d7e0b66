//! Text that a target sent may hold anything. Every output format passes every string through
//! [`visible`] first, and then escapes what its own syntax gives a meaning to.

use std::borrow::Cow;

/// `text` on one line, with every character that acts instead of being seen (line breaks, terminal
/// escapes, changes of writing direction, invisible characters) written as an escape.
pub fn visible(text: &str) -> Cow<'_, str> {
    if !text.contains(acts) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 16);
    for character in text.chars() {
        if acts(character) {
            shown.extend(character.escape_default());
        } else {
            shown.push(character);
        }
    }
    Cow::Owned(shown)
}

/// Whether a character does something to the text around it, or hides, instead of being seen.
fn acts(character: char) -> bool {
    character.is_control()
        || matches!(character,
            '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{180e}'
            | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
            | '\u{3164}' | '\u{feff}' | '\u{ffa0}' | '\u{fff9}'..='\u{fffb}'
            | '\u{fffe}' | '\u{ffff}' | '\u{e0000}'..='\u{e007f}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_acts_is_written_out() {
        let hostile = "a\nb\r\t\u{1b}[31m\u{9b}2J\u{202e}\u{2066}\u{200b}\u{feff}\u{0}";
        let shown = visible(hostile);
        assert!(!shown.contains(acts));
        assert_eq!(shown, r"a\nb\r\t\u{1b}[31m\u{9b}2J\u{202e}\u{2066}\u{200b}\u{feff}\u{0}");
    }

    #[test]
    fn what_is_seen_stays() {
        let plain = "1\u{202f}234 µs · naïve 日本語 🙂 \\n";
        assert_eq!(visible(plain), plain);
    }
}
