//! How tokens are counted. The rule is simple enough to be done by hand, and the same everywhere: in
//! the usage of an answer, in the chunks of a stream, in limits and in the ledger.
//!
//! - A word is a run of characters that are no ASCII white space. It has one token for every started
//!   four characters. White space belongs to the token after it, and at the end of a text to the
//!   last token.
//! - A prompt has 3 tokens, and for each message 4 and those of its text; each image has 85.
//! - A completion has the tokens of its text; several choices add up.

/// Characters of a word that make one token.
const CHARACTERS: u32 = 4;
/// Tokens of a prompt without messages.
pub(super) const OF_PROMPT: u64 = 3;
/// Tokens of a message beside its content.
pub(super) const OF_MESSAGE: u64 = 4;
/// Tokens of an image, of any size.
pub(super) const OF_IMAGE: u64 = 85;

/// Tokens of a text.
pub(super) fn count(text: &str) -> u32 {
    let mut place = Place::default();
    text.bytes().map(|byte| u32::from(place.begins(byte))).sum()
}

/// The longest beginning of `text` that has at most `limit` tokens, without white space at its end
/// if it is cut.
pub(super) fn cut(text: &str, limit: u32) -> &str {
    let (end, _) = advance(text, limit);
    match end == text.len() {
        true => text,
        false => &text[..end],
    }
}

/// Splits off the next `tokens` tokens; what is left begins with a token or is empty.
pub(super) fn split(text: &str, tokens: u32) -> (&str, &str) {
    let (end, is_last) = advance(text, tokens);
    match is_last {
        true => (text, ""),
        false => text.split_at(end),
    }
}

/// Where the first `tokens` tokens end, and whether no other follows.
fn advance(text: &str, tokens: u32) -> (usize, bool) {
    let mut place = Place::default();
    let mut left = tokens;
    // The end of the last token that was within the limit.
    let mut end = 0;
    for (at, byte) in text.bytes().enumerate() {
        if place.begins(byte) {
            if left == 0 {
                return (end, false);
            }
            left -= 1;
        }
        if !byte.is_ascii_whitespace() {
            end = at + 1;
        }
    }
    (text.len(), true)
}

/// A place in a text.
#[derive(Debug, Default)]
struct Place {
    /// Characters of the word so far.
    characters: u32,
}

impl Place {
    /// Takes the next byte; whether a token begins with it.
    fn begins(&mut self, byte: u8) -> bool {
        if byte.is_ascii_whitespace() {
            self.characters = 0;
            return false;
        }
        // A byte within a character, which its first byte has counted.
        if byte & 0b1100_0000 == 0b1000_0000 {
            return false;
        }
        let begins = self.characters.is_multiple_of(CHARACTERS);
        self.characters += 1;
        begins
    }
}
