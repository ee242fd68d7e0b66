//! An SVG document in the making: the only place that writes its syntax and escapes text.

use std::fmt::Write as _;

use crate::report::inert;

use super::look::{EDGE, IN_THE_DARK, PAPER};

/// Fonts that exist nearly everywhere, the system's own first.
const FONTS: &str = "system-ui, 'Segoe UI', 'Helvetica Neue', Arial, 'DejaVu Sans', sans-serif";

/// An SVG document.
#[derive(Debug)]
pub struct Svg {
    body: String,
    width: f64,
}

/// How a line is drawn.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Stroke {
    /// Colour.
    pub colour: &'static str,
    /// Width.
    pub width: f64,
    /// Lengths of dashes and gaps; empty for a whole line.
    pub dash: &'static str,
}

/// How a word is drawn.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Font {
    /// Size.
    pub size: f64,
    /// Colour.
    pub colour: &'static str,
    /// `start`, `middle` or `end`: which part of the text is at the position.
    pub anchor: &'static str,
    /// Whether it stands out.
    pub bold: bool,
}

impl Svg {
    /// An empty document of this width.
    pub fn new(width: f64) -> Self {
        Svg { body: String::new(), width }
    }

    /// A filled rectangle.
    pub fn rect(
        &mut self,
        (x, y): (f64, f64),
        (width, height): (f64, f64),
        fill: &str,
        opacity: f64,
    ) {
        self.element(format_args!(
            r#"<rect x="{x:.1}" y="{y:.1}" width="{width:.1}" height="{height:.1}" fill="{fill}" fill-opacity="{opacity}"/>"#
        ));
    }

    /// A line through `points`; a dot where there is only one.
    pub fn line(&mut self, points: &[(f64, f64)], stroke: Stroke) {
        if let [(x, y)] = points {
            let (colour, radius) = (stroke.colour, stroke.width + 0.7);
            return self.element(format_args!(
                r#"<circle cx="{x:.1}" cy="{y:.1}" r="{radius}" fill="{colour}"/>"#
            ));
        }
        let mut path = String::new();
        for (x, y) in points {
            let _infallible =
                write!(path, "{}{x:.1} {y:.1}", if path.is_empty() { 'M' } else { 'L' });
        }
        let Stroke { colour, width, dash } = stroke;
        let dash = match dash {
            "" => String::new(),
            dash => format!(r#" stroke-dasharray="{dash}""#),
        };
        self.element(format_args!(
            r#"<path d="{path}" fill="none" stroke="{colour}" stroke-width="{width}" stroke-linejoin="round"{dash}/>"#
        ));
    }

    /// A line of text.
    pub fn text(&mut self, (x, y): (f64, f64), text: &str, font: Font) {
        self.text_turned((x, y), text, font, false);
    }

    /// A line of text that reads upwards.
    pub fn text_upwards(&mut self, (x, y): (f64, f64), text: &str, font: Font) {
        self.text_turned((x, y), text, font, true);
    }

    fn text_turned(&mut self, (x, y): (f64, f64), text: &str, font: Font, upwards: bool) {
        let Font { size, colour, anchor, bold } = font;
        let turn = if upwards {
            format!(r#" transform="rotate(-90 {x:.1} {y:.1})""#)
        } else {
            String::new()
        };
        let weight = if bold { r#" font-weight="600""# } else { "" };
        let text = escape(text);
        self.element(format_args!(
            r#"<text x="{x:.1}" y="{y:.1}" font-size="{size}" fill="{colour}" text-anchor="{anchor}"{weight}{turn}>{text}</text>"#
        ));
    }

    fn element(&mut self, element: std::fmt::Arguments<'_>) {
        let _infallible = writeln!(self.body, "{element}");
    }

    /// The whole document: with a background of its own, so that it is legible on any page, and dark
    /// where the reader prefers that. The colours stand at the elements too, for programs that know no
    /// style sheets.
    pub fn finish(self, height: f64, title: &str, description: &str) -> String {
        let Svg { body, width } = self;
        let (title, description) = (escape(title), escape(description));
        format!(
            r##"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" role="img" font-family="{FONTS}">
<title>{title}</title>
<desc>{description}</desc>
<style>{}</style>
<rect x="0.5" y="0.5" width="{}" height="{}" rx="6" fill="{PAPER}" stroke="{EDGE}"/>
{body}</svg>
"##,
            dark_style(),
            width - 1.0,
            height - 1.0
        )
    }
}

fn dark_style() -> String {
    let rules = IN_THE_DARK.iter().map(|(light, dark)| {
        format!("[fill=\"{light}\"]{{fill:{dark}}}[stroke=\"{light}\"]{{stroke:{dark}}}")
    });
    format!("@media (prefers-color-scheme:dark){{{}}}", rules.collect::<String>())
}

/// About how wide `text` is drawn: a little too wide for most fonts.
pub fn text_width(text: &str, size: f64) -> f64 {
    text.chars().count() as f64 * size * 0.58
}

fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in inert::visible(text).chars() {
        match character {
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '&' => escaped.push_str("&amp;"),
            '"' => escaped.push_str("&quot;"),
            _ => escaped.push(character),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_text_is_text() {
        let hostile = "</text><script>alert(1)</script> \" ' & ]]> \u{0}\u{1b}\u{202e}\u{ffff}\n";
        let font = Font { size: 12.0, colour: "#000000", anchor: "start", bold: false };
        let mut svg = Svg::new(100.0);
        svg.text((0.0, 0.0), hostile, font);
        let document = svg.finish(50.0, hostile, hostile);
        let parsed = roxmltree::Document::parse(&document).unwrap();
        let texts = parsed.descendants().filter(|node| {
            node.is_element() && node.text() == Some(inert::visible(hostile).as_ref())
        });
        assert_eq!(texts.count(), 3, "title, description and text: {document}");
    }
}
