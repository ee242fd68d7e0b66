//! The short form of a report for the terminal: the sections marked brief, at a given width.

use comfy_table::{Attribute, CellAlignment, Color, ContentArrangement, LineStyle, TableStyle};
use unicode_width::UnicodeWidthStr;

use super::inert;
use super::model::{Align, Block, Cell, Note, Report, Section, Span, Table, Text, Tone};

/// Narrower than this, nothing is legible.
const NARROWEST: usize = 40;
/// Wider than this, lines of text are hard to read.
const WIDEST_TEXT: usize = 110;

/// The short form, `width` columns wide, with ANSI colours if `colour`.
pub fn render(report: &Report, width: usize, colour: bool) -> String {
    let mut page =
        Page { out: String::new(), width: width.max(NARROWEST), colour, notes: Vec::new() };
    page.line(&Text::emphasis(Tone::Neutral, &report.title), "", "");
    for line in &report.subtitle {
        page.line(line, "", "");
    }
    for section in report.sections.iter().filter(|section| section.brief) {
        page.section(section);
    }
    page.footnotes(report);
    if let Some(location) = &report.location {
        page.out.push('\n');
        page.line(&Text::emphasis(Tone::Neutral, "Report").plain(" ").plain(location), "", "");
    }
    page.out
}

#[derive(Debug)]
struct Page {
    out: String,
    width: usize,
    colour: bool,
    /// Caveats that the tables refer to. How figures are made is left to the whole report.
    notes: Vec<Note>,
}

/// A word and its look.
#[derive(Debug, Clone)]
struct Word {
    text: String,
    look: Option<Tone>,
    /// Whether a blank stands before it.
    parted: bool,
}

impl Page {
    fn section(&mut self, section: &Section) {
        self.out.push('\n');
        self.line(&Text::emphasis(Tone::Neutral, &section.title), "", "");
        for block in &section.blocks {
            match block {
                Block::Paragraph(text) => self.line(text, "  ", "  "),
                Block::List(items) => {
                    items.iter().for_each(|item| self.line(item, "  \u{2022} ", "    "))
                }
                Block::Facts(facts) => self.facts(facts),
                Block::Table(table) => self.table(table),
                Block::Chart(_) => {}
            }
        }
    }

    fn facts(&mut self, facts: &[(String, Text)]) {
        let name_width = facts.iter().map(|(name, _)| name.width()).max().unwrap_or(0);
        let indent = " ".repeat(name_width + 4);
        for (name, value) in facts {
            let name = inert::visible(name);
            let room = " ".repeat((name_width + 2).saturating_sub(name.width()));
            self.line(value, &format!("  {name}{room}"), &indent);
        }
    }

    /// Writes `text` with `first` before its first line and `rest` before all others.
    fn line(&mut self, text: &Text, first: &str, rest: &str) {
        let width = self.width.min(WIDEST_TEXT);
        self.out.push_str(first);
        let mut column = first.width();
        let mut at_start = true;
        let words = words(text);
        for (place, word) in words.iter().enumerate() {
            let size = word.text.width();
            let blank = usize::from(word.parted && !at_start);
            // A comma after a word that looks different stays with it.
            let joined = words[place + 1..].iter().take_while(|word| !word.parted);
            let whole = size + joined.map(|word| word.text.width()).sum::<usize>();
            if !at_start && word.parted && column + blank + whole > width {
                self.out.push('\n');
                self.out.push_str(rest);
                column = rest.width();
            } else if blank == 1 {
                self.out.push(' ');
                column += 1;
            }
            self.word(word);
            column += size;
            at_start = false;
        }
        self.out.push('\n');
    }

    fn word(&mut self, word: &Word) {
        match word.look.filter(|_| self.colour).map(ansi) {
            Some(begin) => {
                self.out.push_str(begin);
                self.out.push_str(&word.text);
                self.out.push_str("\u{1b}[0m");
            }
            None => self.out.push_str(&word.text),
        }
    }

    fn table(&mut self, table: &Table) {
        if let Some(caption) = &table.caption {
            self.line(caption, "  ", "  ");
        }
        let mut keep = u8::MAX;
        loop {
            let drawn = self.draw(table, keep);
            let next = table.columns.iter().map(|column| column.expendable);
            let next = next.filter(|rank| *rank > 0 && *rank <= keep).max();
            match next {
                Some(rank) if natural_width(&drawn) >= self.width => keep = rank - 1,
                _ => {
                    for line in drawn.lines() {
                        self.out.push(' ');
                        self.out.push_str(line.trim_end());
                        self.out.push('\n');
                    }
                    break;
                }
            }
        }
        let cells = table.rows.iter().flatten().chain(table.total.iter().flatten());
        self.notes.extend(cells.filter_map(|cell| match cell {
            Cell::Figure(_, note) => *note,
            _ => None,
        }));
    }

    /// The table with the columns whose rank is at most `keep`.
    fn draw(&self, table: &Table, keep: u8) -> comfy_table::Table {
        let is_kept: Vec<bool> = table.columns.iter().map(|c| c.expendable <= keep).collect();
        let kept = |row: Vec<comfy_table::Cell>| -> Vec<comfy_table::Cell> {
            row.into_iter().zip(&is_kept).filter(|(_, kept)| **kept).map(|(cell, _)| cell).collect()
        };
        let mut drawn = comfy_table::Table::new();
        drawn.load_style(TableStyle::new().header_separator(LineStyle::none().fill('─')));
        drawn.set_content_arrangement(ContentArrangement::Dynamic);
        drawn.set_width(u16::try_from(self.width - 1).unwrap_or(u16::MAX));
        if self.colour {
            drawn.enforce_styling();
        } else {
            drawn.force_no_tty();
        }
        let headings = table.columns.iter().map(|column| {
            let cell = comfy_table::Cell::new(inert::visible(&column.heading));
            cell.set_alignment(alignment(column.align)).add_attribute(Attribute::Dim)
        });
        drawn.set_header(kept(headings.collect()));
        let aligned = |row: &Vec<Cell>| -> Vec<comfy_table::Cell> {
            let cells = row.iter().zip(&table.columns);
            cells
                .map(|(cell, column)| draw_cell(cell).set_alignment(alignment(column.align)))
                .collect()
        };
        for row in &table.rows {
            drawn.add_row(kept(aligned(row)));
        }
        if let Some(total) = &table.total {
            let bold = aligned(total).into_iter().map(|cell| cell.add_attribute(Attribute::Bold));
            drawn.add_row(kept(bold.collect()));
        }
        drawn
    }

    fn footnotes(&mut self, report: &Report) {
        self.notes.sort_unstable();
        self.notes.dedup();
        if !self.notes.is_empty() {
            self.out.push('\n');
        }
        for note in std::mem::take(&mut self.notes) {
            if let Some(text) = report.footnotes.get(note.0.saturating_sub(1)) {
                let mark = format!("  {} ", superscript(note));
                self.line(&Text::from(text.as_str()), &mark, "    ");
            }
        }
    }
}

/// The width that a table takes where nothing is wrapped.
fn natural_width(table: &comfy_table::Table) -> usize {
    let contents = table.column_max_content_widths();
    contents.iter().map(|width| usize::from(*width)).sum::<usize>() + 2 * contents.len()
}

fn alignment(align: Align) -> CellAlignment {
    match align {
        Align::Left => CellAlignment::Left,
        Align::Right => CellAlignment::Right,
    }
}

fn draw_cell(cell: &Cell) -> comfy_table::Cell {
    match cell {
        Cell::Text(text) => {
            let words: Vec<String> = text.0.iter().map(shown).collect();
            let tone = text.0.iter().find_map(|span| match span {
                Span::Strong(tone, _) => colour_of(*tone),
                _ => None,
            });
            let drawn = comfy_table::Cell::new(words.concat());
            match tone {
                Some(colour) => drawn.fg(colour).add_attribute(Attribute::Bold),
                None => drawn,
            }
        }
        Cell::Figure(figure, note) => {
            let mark = note.map(superscript).unwrap_or_default();
            comfy_table::Cell::new(format!("{}{mark}", inert::visible(figure)))
        }
        Cell::Missing(why) => {
            comfy_table::Cell::new(inert::visible(why)).add_attribute(Attribute::Dim)
        }
    }
}

/// The text of a span. How a figure is made is left to the whole report.
fn shown(span: &Span) -> String {
    match span {
        Span::Plain(text) | Span::Strong(_, text) | Span::Code(text) => {
            inert::visible(text).into_owned()
        }
        Span::Note(_) => String::new(),
    }
}

/// Splits `text` at blanks; a word keeps the look of its span.
fn words(text: &Text) -> Vec<Word> {
    let mut words: Vec<Word> = Vec::new();
    let mut parted = true;
    for span in &text.0 {
        let look = match span {
            Span::Strong(tone, _) => Some(*tone),
            _ => None,
        };
        for (index, part) in shown(span).split(' ').enumerate() {
            parted |= index > 0;
            if !part.is_empty() {
                words.push(Word { text: part.to_owned(), look, parted });
                parted = false;
            }
        }
    }
    words
}

fn ansi(tone: Tone) -> &'static str {
    match tone {
        Tone::Neutral => "\u{1b}[1m",
        Tone::Good => "\u{1b}[1;32m",
        Tone::Warning => "\u{1b}[1;33m",
        Tone::Bad => "\u{1b}[1;31m",
    }
}

fn colour_of(tone: Tone) -> Option<Color> {
    match tone {
        Tone::Neutral => None,
        Tone::Good => Some(Color::Green),
        Tone::Warning => Some(Color::Yellow),
        Tone::Bad => Some(Color::Red),
    }
}

fn superscript(note: Note) -> String {
    const DIGITS: [char; 10] = ['⁰', '¹', '²', '³', '⁴', '⁵', '⁶', '⁷', '⁸', '⁹'];
    let digits = note.0.to_string();
    digits.bytes().map(|digit| DIGITS[usize::from(digit - b'0')]).collect()
}
