//! The parts of a page: sections, tables, charts, text, footnotes.

use std::collections::BTreeSet;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use maud::{Markup, html};

use super::Shown;
use crate::report::model::{
    Align, Block, Cell, Chart, Column, Note, Report, Section, Span, Table, Text, Tone,
};

/// The anchor of the footnotes. With a low line, as all anchors that are not made of a title.
pub const NOTES: &str = "the_notes";

/// An anchor for each section, from its title: letters, digits and hyphens, no two the same.
pub fn anchors(report: &Report) -> Vec<String> {
    let mut taken = BTreeSet::new();
    let mut free = |section: &Section| {
        let stem = slug(&section.title);
        let numbered = |number| match number {
            1 => stem.clone(),
            _ => format!("{stem}-{number}"),
        };
        let free = (1..).map(numbered).find(|anchor| taken.insert(anchor.clone()));
        free.unwrap_or_default()
    };
    report.sections.iter().map(&mut free).collect()
}

fn slug(title: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { ' ' };
    let words: String = title.chars().map(plain).collect();
    let slug = words.split_whitespace().collect::<Vec<_>>().join("-");
    if slug.is_empty() { "section".to_owned() } else { slug }
}

/// What makes the parts of one page, and knows which footnotes it has named.
#[derive(Debug, Default)]
pub struct Parts {
    named: BTreeSet<Note>,
}

impl Parts {
    /// A section with its heading.
    pub fn section(&mut self, section: &Section, anchor: &str) -> Markup {
        let title = Shown(&section.title);
        html! {
            section id=(anchor) {
                @match section.level {
                    1 => h2 { (title) },
                    2 => h3 { (title) },
                    _ => h4 { (title) },
                }
                @for block in &section.blocks { (self.block(block, &section.title)) }
            }
        }
    }

    fn block(&mut self, block: &Block, title: &str) -> Markup {
        match block {
            Block::Paragraph(line) => html! { p { (self.text(line)) } },
            Block::List(items) => html! {
                ul { @for item in items { li { (self.text(item)) } } }
            },
            Block::Facts(facts) => html! {
                dl {
                    @for (name, value) in facts {
                        div { dt { (Shown(name)) } dd { (self.text(value)) } }
                    }
                }
            },
            Block::Table(table) => self.table(table, title),
            Block::Chart(chart) => figure(chart),
        }
    }

    /// In a box of its own, which scrolls where the table is wider than the window; `tabindex` lets
    /// it be scrolled with the keyboard.
    fn table(&mut self, table: &Table, title: &str) -> Markup {
        html! {
            div.scroll role="region" tabindex="0" aria-label={ "Table: " (Shown(title)) } {
                table {
                    @if let Some(caption) = &table.caption {
                        caption { span { (self.text(caption)) } }
                    }
                    thead { tr { @for column in &table.columns { (self.heading(column)) } } }
                    tbody {
                        @for cells in &table.rows { (self.row(&table.columns, cells)) }
                        @if table.rows.is_empty() {
                            tr { td.missing colspan=(table.columns.len()) { "No rows." } }
                        }
                    }
                    @if let Some(total) = &table.total {
                        tfoot { (self.row(&table.columns, total)) }
                    }
                }
            }
        }
    }

    fn heading(&mut self, column: &Column) -> Markup {
        let side = side(column);
        let inner = html! {
            (Shown(&column.heading))
            @for note in &column.notes { (self.refer(*note)) }
        };
        match column.heading.is_empty() {
            true => html! { td class=[side] { (inner) } },
            false => html! { th scope="col" class=[side] { (inner) } },
        }
    }

    /// The first cell names its row, where it holds words.
    fn row(&mut self, columns: &[Column], cells: &[Cell]) -> Markup {
        html! {
            tr {
                @for (place, (column, cell)) in columns.iter().zip(cells).enumerate() {
                    @if place == 0 && names_row(column, cell) {
                        th scope="row" { (self.cell(cell)) }
                    } @else {
                        td class=[side(column)] { (self.cell(cell)) }
                    }
                }
            }
        }
    }

    fn cell(&mut self, cell: &Cell) -> Markup {
        match cell {
            Cell::Text(line) => self.text(line),
            Cell::Figure(figure, note) => html! {
                (Shown(figure)) @if let Some(note) = note { (self.refer(*note)) }
            },
            Cell::Missing(why) => html! { span.missing { (Shown(why)) } },
        }
    }

    /// A line of text. What is good or bad is said by its words; colour and sign only repeat it.
    pub fn text(&mut self, line: &Text) -> Markup {
        html! {
            @for span in &line.0 {
                @match span {
                    Span::Plain(words) => (Shown(words)),
                    Span::Strong(tone, words) => strong class=[tone_class(*tone)] { (Shown(words)) },
                    Span::Code(words) => code { (Shown(words)) },
                    Span::Note(note) => (self.refer(*note)),
                }
            }
        }
    }

    fn refer(&mut self, note: Note) -> Markup {
        let Note(number) = note;
        let anchor = self.named.insert(note).then(|| format!("to_note_{number}"));
        html! {
            sup {
                a id=[anchor] href={ "#note_" (number) } role="doc-noteref" aria-label={ "Note " (number) } {
                    (number)
                }
            }
        }
    }

    /// The footnotes, each with a link to where it is named first.
    pub fn footnotes(&self, texts: &[String]) -> Markup {
        if texts.is_empty() {
            return Markup::default();
        }
        html! {
            section id=(NOTES) role="doc-endnotes" {
                h2 { "Notes" }
                ol {
                    @for (index, text) in texts.iter().enumerate() {
                        @let number = index + 1;
                        li id={ "note_" (number) } {
                            (Shown(text))
                            @if self.named.contains(&Note(number)) {
                                " "
                                a href={ "#to_note_" (number) } role="doc-backlink" aria-label={ "Back from note " (number) } { "↩" }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn names_row(column: &Column, cell: &Cell) -> bool {
    column.align == Align::Left && matches!(cell, Cell::Text(line) if !line.0.is_empty())
}

fn side(column: &Column) -> Option<&'static str> {
    (column.align == Align::Right).then_some("figure")
}

fn tone_class(tone: Tone) -> Option<&'static str> {
    match tone {
        Tone::Neutral => None,
        Tone::Good => Some("good"),
        Tone::Warning => Some("warning"),
        Tone::Bad => Some("bad"),
    }
}

/// The chart as an image in the page; its file, which lies beside the page, is named below it.
fn figure(chart: &Chart) -> Markup {
    let file = chart.file();
    html! {
        figure {
            div.scroll role="region" tabindex="0" aria-label={ "Chart: " (Shown(&chart.title)) } {
                img alt=(Shown(&chart.title)) src={ "data:image/svg+xml;base64," (STANDARD.encode(&chart.svg)) };
            }
            figcaption {
                (Shown(&chart.alt)) " "
                a href=(Shown(&file)) { (Shown(&file)) }
                @if unfolds(chart) { " opens by itself, where a click on a frame unfolds it." }
            }
        }
    }
}

/// Whether the picture, opened by itself, answers to clicks: it brings a script, as flamegraphs do.
fn unfolds(chart: &Chart) -> bool {
    chart.svg.contains("<script")
}
