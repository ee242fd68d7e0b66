//! A report as one page: a single file that needs nothing from elsewhere, runs no script, and reads
//! well in a window of any width, in light and dark, and on paper.
//!
//! Charts are images inside the page, not markup of it: an image runs no script, whatever it holds,
//! keeps its names and styles to itself, and follows the reader's choice of light or dark by its own
//! style sheet.

mod parts;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use maud::{DOCTYPE, Markup, PreEscaped, Render, html};
use sha2::{Digest as _, Sha256};

use super::inert;
use super::model::Report;
use parts::{Parts, anchors};

const STYLE: &str = include_str!("style.css");

/// The whole report.
pub fn render(report: &Report) -> String {
    let mut parts = Parts::default();
    let anchors = anchors(report);
    // Made in the order in which they are read: a footnote leads back to where it is named first.
    let top = html! {
        header {
            h1 { (Shown(&report.title)) }
            @for line in &report.subtitle { p { (parts.text(line)) } }
        }
    };
    let sections = html! {
        @for (section, anchor) in report.sections.iter().zip(&anchors) {
            (parts.section(section, anchor))
        }
    };
    let notes = parts.footnotes(&report.footnotes);
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            (head(&report.title))
            body {
                (contents(report, &anchors))
                main { (top) (sections) (notes) }
            }
        }
    };
    page.into_string() + "\n"
}

/// Nothing may be loaded and nothing may run; only the page's own style sheet, known by its digest,
/// and images that are part of the page.
fn policy() -> String {
    let digest = STANDARD.encode(Sha256::digest(STYLE));
    format!(
        "default-src 'none'; style-src 'sha256-{digest}'; img-src data:; base-uri 'none'; form-action 'none'"
    )
}

fn head(title: &str) -> Markup {
    html! {
        head {
            meta charset="utf-8";
            meta http-equiv="Content-Security-Policy" content=(policy());
            meta name="viewport" content="width=device-width, initial-scale=1";
            meta name="color-scheme" content="light dark";
            meta name="referrer" content="no-referrer";
            // Without one, a browser asks the server for an icon.
            link rel="icon" href="data:,";
            title { (Shown(title)) }
            style { (PreEscaped(STYLE)) }
        }
    }
}

fn contents(report: &Report, anchors: &[String]) -> Markup {
    html! {
        nav aria-label="Contents" {
            ul {
                @for (section, anchor) in report.sections.iter().zip(anchors) {
                    li class=[(section.level > 1).then_some("deeper")] {
                        a href={ "#" (anchor) } { (Shown(&section.title)) }
                    }
                }
                @if !report.footnotes.is_empty() { li { a href={ "#" (parts::NOTES) } { "Notes" } } }
            }
        }
    }
}

/// The one way of a report's text into the page: what acts is made visible, what is markup is escaped.
struct Shown<'a>(&'a str);

impl Render for Shown<'_> {
    fn render_to(&self, page: &mut String) {
        inert::visible(self.0).render_to(page);
    }
}
