//! Values that are sent, but shown and saved nowhere.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD};

use super::spelling::reach;

/// A value from an environment variable. It has no way to be serialised, and `Debug` hides it.
#[derive(Clone)]
pub struct Secret(Arc<str>);

impl Secret {
    pub(super) fn new(value: &str) -> Secret {
        Secret(Arc::from(value))
    }

    /// The value, for the request alone.
    pub(super) fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

/// The environment variables that a scenario names, with the values of those that are set. No
/// template of the scenario can read any other.
pub(super) type Variables = BTreeMap<String, Option<Secret>>;

/// Takes the values of a scenario's environment variables out of texts before they are shown or
/// saved: a target may echo what it was sent, and some services quote the key that they refuse.
///
/// A value is recognised as it is, percent-encoded, inside JSON strings (also nested ones), and in
/// base64 by itself (both alphabets, padded or not), without regard to blanks around it and to the
/// case of ASCII letters. It is not recognised where a template cuts or changes it, nor in
/// base64 of a longer text. Values of fewer than four characters are left alone: they are words
/// that occur anyway.
#[derive(Debug, Clone, Default)]
pub struct Redactions(Arc<[Hidden]>);

/// A variable's value, and its value in base64.
#[derive(Debug, Clone)]
struct Hidden {
    variable: String,
    forms: Vec<Secret>,
}

/// A stretch of a text that is not to be shown, and the variable it is from; none where the text
/// ends before it is certain.
struct Found<'a> {
    range: Range<usize>,
    variable: Option<&'a str>,
}

impl Redactions {
    /// Characters of the shortest value that is recognised.
    const SHORTEST: usize = 4;

    pub(super) fn new(variables: &Variables) -> Redactions {
        let set = variables.iter().filter_map(|(name, value)| Some((name, value.as_ref()?)));
        let long_enough =
            set.filter(|(_, value)| value.reveal().trim().chars().count() >= Self::SHORTEST);
        let hidden = long_enough.map(|(name, value)| Hidden {
            variable: name.escape_default().to_string(),
            forms: forms(value.reveal()),
        });
        Redactions(hidden.collect())
    }

    /// What takes out all that any of `parts` does.
    pub(super) fn all<'a>(parts: impl Iterator<Item = &'a Redactions>) -> Redactions {
        let mut all: Vec<Hidden> = Vec::new();
        for hidden in parts.flat_map(|part| part.0.iter()) {
            // The environment is that of the process: a variable has one value.
            if !all.iter().any(|known| known.variable == hidden.variable) {
                all.push(hidden.clone());
            }
        }
        Redactions(all.into())
    }

    /// `text` with `[env NAME]` in place of each value. Where there is nothing to take out, this is
    /// one pass over it, and no copy.
    pub fn redact<'a>(&self, text: &'a str) -> Cow<'a, str> {
        self.without_values(text, false)
    }

    /// The beginning of a body on one line: redacted, control characters escaped, at most
    /// `characters` long.
    pub fn excerpt(&self, body: &[u8], characters: usize) -> String {
        // Cut before it is made a text, since bodies may be large.
        let shown = &body[..body.len().min(4 * characters)];
        let is_cut = shown.len() < body.len();
        let text = String::from_utf8_lossy(shown);
        // What is left of a character that was cut through.
        let whole = text.strip_suffix('\u{fffd}').filter(|_| is_cut).unwrap_or(&text);
        let text = self.without_values(whole, is_cut);
        let mut line = String::new();
        for character in text.chars().take(characters) {
            if character.is_control() || is_invisible(character) {
                line.extend(character.escape_default());
            } else {
                line.push(character);
            }
        }
        if is_cut || text.chars().nth(characters).is_some() {
            line.push('…');
        }
        line
    }

    /// `text` without values; where it `is_cut`, also without the beginning of one at its end.
    fn without_values<'a>(&self, text: &'a str, is_cut: bool) -> Cow<'a, str> {
        let mut redacted = Cow::Borrowed(text);
        let found = self.find(text, is_cut);
        if found.is_empty() {
            return redacted;
        }
        redacted = Cow::Owned(replaced(text, &found, true));
        // A mark can itself bring a value about, where that is a part of its variable's name, say.
        // Each further pass makes the text shorter, so that there is a last one.
        loop {
            let found = self.find(&redacted, false);
            if found.is_empty() {
                return redacted;
            }
            redacted = Cow::Owned(replaced(&redacted, &found, false));
        }
    }

    /// Stretches that are to be taken out, in order; those that overlap are one.
    fn find(&self, text: &str, is_cut: bool) -> Vec<Found<'_>> {
        let mut found: Vec<Found<'_>> = Vec::new();
        for (at, _) in text.char_indices() {
            for hidden in self.0.iter() {
                let reaches = hidden.forms.iter();
                let reaches = reaches.filter_map(|form| reach(form.reveal(), text, at, is_cut));
                let Some(longest) = reaches.max() else { continue };
                match found.last_mut() {
                    Some(last) if at < last.range.end => {
                        last.range.end = last.range.end.max(longest.end);
                    }
                    _ => found.push(Found {
                        range: at..longest.end,
                        variable: longest.is_whole.then_some(hidden.variable.as_str()),
                    }),
                }
            }
        }
        found
    }
}

/// The forms of a value that are recognised besides their spellings.
fn forms(value: &str) -> Vec<Secret> {
    let trimmed = value.trim();
    let mut forms = vec![trimmed.to_owned()];
    for bytes in [value, trimmed] {
        for alphabet in [STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD] {
            let encoded = alphabet.encode(bytes);
            if !forms.contains(&encoded) {
                forms.push(encoded);
            }
        }
    }
    forms.iter().map(|form| Secret::new(form)).collect()
}

/// `text` without the stretches `found`, with a mark in place of each or nothing at all.
fn replaced(text: &str, found: &[Found<'_>], marked: bool) -> String {
    let mut replaced = String::with_capacity(text.len());
    let mut kept = 0;
    for Found { range, variable } in found {
        replaced.push_str(&text[kept..range.start]);
        if let Some(variable) = variable.filter(|_| marked) {
            replaced.extend(["[env ", variable, "]"]);
        }
        kept = range.end;
    }
    replaced.push_str(&text[kept..]);
    replaced
}

/// Characters that turn the direction of text or take no room: they can hide what is written.
fn is_invisible(character: char) -> bool {
    matches!(character, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}
