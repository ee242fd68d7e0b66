//! A report as GitHub-flavoured Markdown. Charts are linked by their files.

use std::fmt::Write as _;

use super::inert;
use super::model::{Align, Block, Cell, Column, Report, Section, Span, Table, Text};

/// The whole report.
pub fn render(report: &Report) -> String {
    let mut page = format!("# {}\n", plain(&report.title, Place::Line));
    for line in &report.subtitle {
        push(&mut page, &text(line, Place::Line));
    }
    for section in &report.sections {
        push_section(&mut page, section);
    }
    if !report.footnotes.is_empty() {
        page.push('\n');
    }
    for (index, note) in report.footnotes.iter().enumerate() {
        let _infallible = writeln!(page, "[^{}]: {}", index + 1, plain(note, Place::Line));
    }
    page
}

/// Pieces of a report by themselves, parted by empty lines: for a page that is not a report.
pub fn fragment(blocks: &[Block]) -> String {
    blocks.iter().map(render_block).collect::<Vec<_>>().join("\n\n")
}

/// Appends a block, parted by an empty line.
fn push(page: &mut String, block: &str) {
    page.push('\n');
    page.push_str(block);
    page.push('\n');
}

fn push_section(page: &mut String, section: &Section) {
    push(
        page,
        &format!("{} {}", "#".repeat(section.level + 1), plain(&section.title, Place::Line)),
    );
    for block in &section.blocks {
        push(page, &render_block(block));
    }
}

fn render_block(block: &Block) -> String {
    match block {
        Block::Paragraph(line) => text(line, Place::Line),
        Block::List(items) => {
            lines(items.iter().map(|item| format!("- {}", text(item, Place::Line))))
        }
        Block::Facts(facts) => lines(facts.iter().map(|(name, value)| {
            format!("- **{}**: {}", plain(name, Place::Line), text(value, Place::Line))
        })),
        Block::Table(table) => render_table(table),
        Block::Chart(chart) => {
            format!("![{}]({})", plain(&chart.alt, Place::Line), chart.file())
        }
    }
}

fn lines(items: impl Iterator<Item = String>) -> String {
    items.collect::<Vec<_>>().join("\n")
}

fn render_table(table: &Table) -> String {
    let mut out = String::new();
    if let Some(caption) = &table.caption {
        let _infallible = write!(out, "{}\n\n", text(caption, Place::Line));
    }
    let row = |cells: Vec<String>| format!("| {} |\n", cells.join(" | "));
    out += &row(table.columns.iter().map(heading).collect());
    let rule = table.columns.iter().map(|column| match column.align {
        Align::Left => "---".to_owned(),
        Align::Right => "---:".to_owned(),
    });
    out += &row(rule.collect());
    for cells in &table.rows {
        out += &row(cells.iter().map(cell).collect());
    }
    if let Some(total) = &table.total {
        out += &row(total.iter().map(|total| strong(&cell(total))).collect());
    }
    out.truncate(out.trim_end().len());
    out
}

fn heading(column: &Column) -> String {
    let mut heading = plain(&column.heading, Place::Table);
    for note in &column.notes {
        let _infallible = write!(heading, "[^{}]", note.0);
    }
    heading
}

fn cell(cell: &Cell) -> String {
    match cell {
        Cell::Text(line) => text(line, Place::Table),
        Cell::Figure(figure, None) => plain(figure, Place::Table),
        Cell::Figure(figure, Some(note)) => format!("{}[^{}]", plain(figure, Place::Table), note.0),
        Cell::Missing(why) => plain(why, Place::Table),
    }
}

/// A table ends a cell at each pipe that has no backslash, in code too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Line,
    Table,
}

fn text(line: &Text, place: Place) -> String {
    let spans = line.0.iter().map(|span| match span {
        Span::Plain(words) => plain(words, place),
        Span::Strong(_, words) => strong(&plain(words, place)),
        Span::Code(words) => code(words, place),
        Span::Note(note) => format!("[^{}]", note.0),
    });
    spans.collect::<String>().trim().to_owned()
}

fn strong(words: &str) -> String {
    if words.is_empty() { String::new() } else { format!("**{words}**") }
}

/// Text without any effect of its own. Words that a viewer would turn into a link or a mention
/// become code, in which nothing is turned into anything.
fn plain(words: &str, place: Place) -> String {
    let shown = inert::visible(words);
    let parts: Vec<String> = shown.split(' ').map(|part| word(part, place)).collect();
    match place {
        Place::Line => escape_list_marker(parts.join(" ")),
        Place::Table => parts.join(" "),
    }
}

fn word(word: &str, place: Place) -> String {
    let lower = word.to_ascii_lowercase();
    if lower.contains("://") || lower.contains("www.") || lower.contains('@') || refers(&lower) {
        return code(word, place);
    }
    let mut escaped = String::with_capacity(word.len());
    for (position, character) in word.char_indices() {
        match character {
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '&' => escaped.push_str("&amp;"),
            '|' => escaped.push_str("&#124;"),
            '_' if is_inside_word(word, position) => escaped.push('_'),
            '\\' | '`' | '*' | '_' | '[' | ']' | '#' | '~' | '$' | '!' => {
                escaped.push('\\');
                escaped.push(character);
            }
            _ => escaped.push(character),
        }
    }
    escaped
}

/// Whether a viewer would take a lower-case word for a reference to an issue (`#12`, `gh-12`), escaped
/// or not: it looks for them in the text that is shown.
fn refers(word: &str) -> bool {
    let is_before_digit = |mark: &str| {
        let follows = |(at, _)| word[at + mark.len()..].starts_with(|c: char| c.is_ascii_digit());
        word.match_indices(mark).any(follows)
    };
    is_before_digit("#") || is_before_digit("gh-")
}

/// Between letters or digits, an underscore stays one.
fn is_inside_word(word: &str, position: usize) -> bool {
    let before = word[..position].chars().next_back();
    let after = word[position + 1..].chars().next();
    before.is_some_and(char::is_alphanumeric) && after.is_some_and(char::is_alphanumeric)
}

/// What would begin a list or a rule at the start of a line does not.
fn escape_list_marker(line: String) -> String {
    let digits = line.bytes().take_while(u8::is_ascii_digit).count();
    let mut rest = line.as_bytes()[digits..].iter();
    let (marker, follower) = (rest.next(), rest.next());
    let is_parted = matches!(follower, None | Some(b' '));
    match marker {
        Some(b'.' | b')') if digits > 0 && is_parted => {
            format!("{}\\{}", &line[..digits], &line[digits..])
        }
        Some(b'-' | b'+') if digits == 0 && (is_parted || follower == marker) => {
            format!("\\{line}")
        }
        Some(b'=') if digits == 0 => format!("\\{line}"),
        _ => line,
    }
}

/// A code span: fenced with more backticks than it holds in a row.
fn code(words: &str, place: Place) -> String {
    let shown = inert::visible(words);
    if shown.is_empty() {
        return String::new();
    }
    let longest = shown.split(|c| c != '`').map(str::len).max().unwrap_or(0);
    let fence = "`".repeat(longest + 1);
    let pad = if longest > 0 || shown.starts_with(' ') || shown.ends_with(' ') { " " } else { "" };
    let shown = match place {
        Place::Line => shown.into_owned(),
        Place::Table => shown.replace('|', "\\|"),
    };
    format!("{fence}{pad}{shown}{pad}{fence}")
}
