//! From an offset in a TOML string's value to the offset in the file: escapes are longer in the
//! file than what they stand for.

use std::ops::Range;

/// The bytes of the file from which the bytes `inside` of a string's value come. `raw` is the string
/// as written, quotes included, and begins at `start` in the file.
pub(super) fn in_file(raw: &str, start: usize, inside: Range<usize>) -> Range<usize> {
    let mut quote = if raw.starts_with("\"\"\"") || raw.starts_with("'''") { 3 } else { 1 };
    let Some(content) = raw.get(quote..raw.len().saturating_sub(quote)) else {
        return start..start + raw.len();
    };
    let mut content = content;
    if quote == 3 {
        // The line break after the opening quotes is not part of the value.
        let text = content.strip_prefix("\r\n").or(content.strip_prefix('\n')).unwrap_or(content);
        quote += content.len() - text.len();
        content = text;
    }
    let escapes = raw.starts_with('"');
    let from = written_offset(content, escapes, inside.start, true);
    let to = written_offset(content, escapes, inside.end, false).max(from);
    start + quote + from..start + quote + to
}

/// Offset in what is written of the byte `wanted` of the value. At the beginning of a stretch,
/// escapes that stand for nothing are left before it.
fn written_offset(content: &str, escapes: bool, wanted: usize, beginning: bool) -> usize {
    let mut at = 0;
    let mut value = 0;
    while let Some(rest) = content.get(at..) {
        let (length, yields) = match rest.chars().next() {
            Some('\\') if escapes => escape(rest),
            Some(character) => (character.len_utf8(), character.len_utf8()),
            None => break,
        };
        if value >= wanted && !(beginning && yields == 0) {
            break;
        }
        at += length;
        value += yields;
    }
    content.floor_char_boundary(at)
}

/// Length of the escape at the start of `rest`, and of what it stands for, in bytes.
fn escape(rest: &str) -> (usize, usize) {
    let coded = |digits: usize| {
        let code = rest.get(2..2 + digits).and_then(|code| u32::from_str_radix(code, 16).ok());
        (2 + digits, code.and_then(char::from_u32).map_or(1, char::len_utf8))
    };
    match rest.chars().nth(1) {
        Some('u') => coded(4),
        Some('U') => coded(8),
        Some('x') => coded(2),
        // A backslash at the end of a line swallows all white space up to the next text.
        Some(blank) if blank.is_whitespace() => {
            (1 + (rest.len() - 1 - rest[1..].trim_start().len()), 0)
        }
        Some(character) => (1 + character.len_utf8(), 1),
        None => (1, 1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The written form of the value's `needle`.
    fn found(raw: &str, needle: &str) -> String {
        let value: toml::Table = format!("a = {raw}").parse().unwrap();
        let value = value["a"].as_str().unwrap().to_owned();
        let start = value.find(needle).unwrap();
        let span = in_file(raw, 0, start..start + needle.len());
        raw[span].to_owned()
    }

    #[test]
    fn offsets_survive_every_kind_of_string() {
        for raw in [
            r#""plain {{ x }}""#,
            r#"'literal \n {{ x }}'"#,
            r#""escapes \" \\ \n \t \u00e9 \U0001F600 \x41 {{ x }}""#,
            "\"\"\"\nfirst\nsecond \\\n     {{ x }}\"\"\"",
            "\"\"\"\r\nfirst\r\n{{ x }}\"\"\"",
            "'''\n\u{e9}\u{1F600}\n{{ x }}'''",
            "\"\"\"{{ x }}\"\"\"",
        ] {
            assert_eq!(found(raw, "{{ x }}"), "{{ x }}", "{raw}");
        }
    }

    proptest::proptest! {
        #[test]
        fn never_leaves_the_string(raw in ".{0,40}", from in 0..60_usize, length in 0..60_usize) {
            let span = in_file(&raw, 0, from..from + length);
            assert!(span.start <= span.end && span.end <= raw.len());
        }
    }
}
