//! Flamegraphs: the stacks of a profile as one picture, and two profiles in one.

use std::io;

use inferno::flamegraph::color::{Color, PaletteMap};
use inferno::flamegraph::{Options, TextTruncateDirection, from_lines};

use super::{Folded, frame};

/// What stands above a flamegraph.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Titles {
    /// What is shown.
    pub title: String,
    /// Whose samples, and what widths are shares of.
    pub subtitle: String,
    /// What the numbers of frames count: `samples`.
    pub unit: String,
}

/// The flamegraph of `folded` as an SVG document, which unfolds in a browser and is whole as a still
/// picture too. Each module has a colour of its own, the same one each time. `None` where there are
/// no stacks.
pub fn render(folded: &Folded, titles: &Titles) -> Option<String> {
    let mut colours = PaletteMap::default();
    let mut lines = Vec::new();
    for (stack, times) in folded.stacks() {
        for name in stack {
            colours.insert(shown(name), colour(&frame::module(name)));
        }
        lines.push(format!("{} {times}", line(stack)));
    }
    let mut options = options(titles);
    options.palette_map = Some(&mut colours);
    drawn(&mut options, &lines)
}

/// Both `base` and `shown_as` in one flamegraph: widths are those of `shown_as`, red is more than in
/// `base` and blue is less. `reversed` where `base` is what came after. Numbers are to be in one unit
/// that compares, as nanoseconds a request.
pub fn difference(
    base: &Folded,
    shown_as: &Folded,
    reversed: bool,
    titles: &Titles,
) -> Option<String> {
    let mut both = std::collections::BTreeMap::<String, (u64, u64)>::new();
    for (stack, times) in base.stacks() {
        both.entry(line(stack)).or_default().0 += times;
    }
    for (stack, times) in shown_as.stacks() {
        both.entry(line(stack)).or_default().1 += times;
    }
    let lines: Vec<String> =
        both.iter().map(|(stack, (base, shown))| format!("{stack} {base} {shown}")).collect();
    let mut options = options(titles);
    options.negate_differentials = reversed;
    drawn(&mut options, &lines)
}

fn options<'a>(titles: &Titles) -> Options<'a> {
    let mut options = Options::default();
    options.title = plain(&titles.title);
    options.subtitle = Some(plain(&titles.subtitle));
    options.count_name = plain(&titles.unit);
    options.text_truncate_direction = TextTruncateDirection::Right;
    options.font_type = "monospace".to_owned();
    // What is not in the map has a colour by its name, never by chance.
    options.deterministic = true;
    options
}

fn drawn(options: &mut Options<'_>, lines: &[String]) -> Option<String> {
    let mut svg = Vec::new();
    let outcome: io::Result<()> = from_lines(options, lines.iter().map(String::as_str), &mut svg);
    outcome.ok()?;
    String::from_utf8(svg).ok()
}

fn line(stack: &[String]) -> String {
    stack.iter().map(|name| shown(name)).collect::<Vec<_>>().join(";")
}

/// A frame as inferno takes it: a blank could make a number at its end a count, and a `#` at its
/// beginning the line a comment.
fn shown(name: &str) -> String {
    let name = plain(name).replace(';', ":");
    let ends_as_number = name.rsplit(' ').next().is_some_and(|word| {
        !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.')
    });
    let name = if ends_as_number { name.replace(' ', "\u{a0}") } else { name };
    match name.strip_prefix('#') {
        Some(rest) => format!("\u{ff03}{rest}"),
        None => name,
    }
}

/// Without what XML does not allow, and what turns the direction of writing.
fn plain(text: &str) -> String {
    let is_hidden = |c: char| {
        c.is_control()
            || matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{fffe}' | '\u{ffff}')
    };
    text.chars().map(|c| if is_hidden(c) { '\u{fffd}' } else { c }).collect()
}

/// A light colour whose hue is the module's: black text on it can be read.
fn colour(module: &str) -> Color {
    // FNV-1a: the same in every build.
    let hash = module.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    let hue = (hash >> 32) % 360;
    let (base, high) = (150u64, 240u64);
    let step = hue % 60;
    let rising = (base + (high - base) * step / 60) as u8;
    let falling = (high - (high - base) * step / 60) as u8;
    let (base, high) = (base as u8, high as u8);
    let (r, g, b) = match hue / 60 {
        0 => (high, rising, base),
        1 => (falling, high, base),
        2 => (base, high, rising),
        3 => (base, falling, high),
        4 => (rising, base, high),
        _ => (high, base, falling),
    };
    Color { r, g, b }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn titles() -> Titles {
        Titles {
            title: "The target & <friends>".to_owned(),
            subtitle: "py-spy".to_owned(),
            unit: "samples".to_owned(),
        }
    }

    #[test]
    fn frames_are_named_and_hostile_ones_stay_text() {
        let folded = Folded::parse(
            "main;<script>alert(1)</script> 3\nmain;lap 2 7\n# not a comment;x 5\nmain;\u{1b}[31m 1\n",
        );
        let folded = folded.expect("folded");
        let svg = render(&folded, &titles()).expect("stacks");
        roxmltree::Document::parse_with_options(
            &svg,
            roxmltree::ParsingOptions { allow_dtd: true, ..Default::default() },
        )
        .expect("well-formed");
        assert!(!svg.contains("<script>alert"));
        assert!(svg.contains("all (16 samples, 100%)"), "every stack is in it");
        assert!(svg.contains("lap\u{a0}2 (7 samples"));
        assert_eq!(Some(svg), render(&folded, &titles()), "the same each time");
    }

    #[test]
    fn nothing_is_no_flamegraph() {
        assert_eq!(render(&Folded::default(), &titles()), None);
    }
}
