//! Finding a value in a text whichever way it is written there: as it is, percent-encoded (RFC
//! 3986), or escaped as in a JSON string (RFC 8259), character by character. Encoders differ in
//! which characters they encode, so that no list of encoded values would hold all of them.

/// Bytes of the longest escape of one character: `\ud83d\ude00`.
const LONGEST_ESCAPE: usize = 12;

/// How far a value reaches in a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Reach {
    /// Byte of the text at which the value ends.
    pub end: usize,
    /// Whether that is all of the value; if not, the text ends here.
    pub is_whole: bool,
}

/// How far `text` is `value` from the byte `at` on, if it is. In a text that `is_cut`, a value that
/// is begun there may go on behind its end.
pub(super) fn reach(value: &str, text: &str, at: usize, is_cut: bool) -> Option<Reach> {
    let text = text.as_bytes();
    let mut wanted = value.chars();
    // A backslash may be a character or begin an escape: all readings are followed at once.
    let mut places = Vec::new();
    ends(wanted.next()?, &text[at..], |length| places.push(at + length));
    for wanted in wanted {
        if places.is_empty() {
            return None;
        }
        if is_cut && places.iter().any(|place| is_cut_through(&text[*place..])) {
            return Some(Reach { end: text.len(), is_whole: false });
        }
        let mut next = Vec::new();
        for place in places {
            ends(wanted, &text[place..], |length| next.push(place + length));
        }
        next.sort_unstable();
        next.dedup();
        places = next;
    }
    places.into_iter().max().map(|end| Reach { end, is_whole: true })
}

/// Calls `found` with the length of each spelling of `wanted` with which `text` begins.
fn ends(wanted: char, text: &[u8], mut found: impl FnMut(usize)) {
    let mut utf8 = [0; 4];
    let utf8 = wanted.encode_utf8(&mut utf8).as_bytes();
    if text.get(..utf8.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(utf8)) {
        found(utf8.len());
    }
    match text.first() {
        Some(b'+') if wanted == ' ' => found(1),
        Some(b'%') if is_percent_encoded(utf8, text) => found(3 * utf8.len()),
        Some(b'\\') => {
            // Of JSON inside JSON, the backslashes are escaped themselves.
            let run = backslashes(text);
            if wanted == '\\' {
                (2..=run).for_each(&mut found);
            }
            if text.get(run).is_some_and(|letter| short_escape(wanted) == Some(*letter)) {
                found(run + 1);
            }
            if let Some(length) = unicode_escape(wanted, text) {
                found(length);
            }
        }
        _ => {}
    }
}

fn backslashes(text: &[u8]) -> usize {
    text.iter().take_while(|byte| **byte == b'\\').count()
}

fn is_percent_encoded(utf8: &[u8], text: &[u8]) -> bool {
    let mut encoded = text.chunks_exact(3);
    utf8.iter().all(|wanted| match encoded.next() {
        Some([b'%', digits @ ..]) => hex(digits)
            .and_then(|code| u8::try_from(code).ok())
            .is_some_and(|byte| byte.eq_ignore_ascii_case(wanted)),
        _ => false,
    })
}

/// What stands behind the backslash of an escape that is a letter.
fn short_escape(wanted: char) -> Option<u8> {
    Some(match wanted {
        '"' => b'"',
        '/' => b'/',
        '\u{8}' => b'b',
        '\u{c}' => b'f',
        '\n' => b'n',
        '\r' => b'r',
        '\t' => b't',
        _ => return None,
    })
}

/// The length of `\uXXXX`, or of two of them, where these are `wanted`.
fn unicode_escape(wanted: char, text: &[u8]) -> Option<usize> {
    let mut units = [0; 2];
    let mut at = 0;
    for unit in wanted.encode_utf16(&mut units) {
        let run = backslashes(&text[at..]);
        let digits = text[at + run..].strip_prefix(b"u")?.get(..4)?;
        if run == 0 || hex(digits) != Some(u32::from(*unit)) {
            return None;
        }
        at += run + 1 + digits.len();
    }
    Some(at)
}

fn hex(digits: &[u8]) -> Option<u32> {
    digits.iter().try_fold(0, |code, digit| Some(code * 16 + char::from(*digit).to_digit(16)?))
}

/// Whether what is left of a text may be the beginning of a character's spelling.
fn is_cut_through(rest: &[u8]) -> bool {
    let behind = &rest[backslashes(rest)..];
    let is_escape = behind.len() < rest.len() || rest.starts_with(b"%");
    rest.is_empty() || (is_escape && behind.len() < LONGEST_ESCAPE)
}
