//! A report as a value: what every output format is made from.
//!
//! Its strings are raw, and may hold what a target sent. Whatever renders them makes them inert.

use crate::scenario::errors::nearest;

/// A report.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Report {
    /// Title.
    pub title: String,
    /// Lines below the title: the verdict first.
    pub subtitle: Vec<Text>,
    /// Sections, in order.
    pub sections: Vec<Section>,
    /// Footnotes; [`Note`] `n` is the n-th of them, counted from 1.
    pub footnotes: Vec<String>,
    /// Where the whole report lies, for short forms.
    pub location: Option<String>,
}

impl Report {
    /// The same report, which says where it lies.
    pub fn saved_as(mut self, path: impl Into<String>) -> Self {
        self.location = Some(path.into());
        self
    }

    /// The section whose title begins with `name`, in whatever case, and the sections below it, as a
    /// report whose short form shows all of them.
    ///
    /// # Errors
    ///
    /// Where there is none.
    pub fn only(mut self, name: &str) -> Result<Report, NoSection> {
        let wanted = name.to_lowercase().replace('-', " ");
        let is_it = |section: &Section| section.title.to_lowercase().starts_with(&wanted);
        let Some(first) = self.sections.iter().position(is_it).filter(|_| !wanted.is_empty())
        else {
            let titles = self.sections.into_iter().map(|section| section.title).collect();
            return Err(NoSection { name: name.to_owned(), titles });
        };
        let level = self.sections[first].level;
        let below = self.sections[first + 1..].iter().take_while(|section| section.level > level);
        let last = first + 1 + below.count();
        self.sections = self.sections.drain(first..last).map(|it| it.brief(true)).collect();
        Ok(self)
    }

    /// The same report with `other` after it, as a section named by its title: its sections one level
    /// deeper, its footnotes after those that are there.
    pub fn with_part(mut self, other: Report) -> Report {
        let known = self.footnotes.len();
        let heading = other.subtitle.into_iter();
        let heading = heading.fold(Section::new(other.title).brief(true), Section::with);
        let parts = other.sections.into_iter().map(Section::nested);
        for mut section in std::iter::once(heading).chain(parts) {
            section.blocks.iter_mut().for_each(|block| block.shift_notes(known));
            self.sections.push(section);
        }
        self.footnotes.extend(other.footnotes);
        self
    }

    /// All tables, in order.
    pub fn tables(&self) -> impl Iterator<Item = &Table> {
        self.sections.iter().flat_map(|section| &section.blocks).filter_map(|block| match block {
            Block::Table(table) => Some(table),
            _ => None,
        })
    }

    /// All charts, in order; whoever saves the report writes each to its [`Chart::file`].
    pub fn charts(&self) -> impl Iterator<Item = &Chart> {
        self.sections.iter().flat_map(|section| &section.blocks).filter_map(|block| match block {
            Block::Chart(chart) => Some(chart),
            _ => None,
        })
    }
}

/// A report that has no such section.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("this report has no section `{name}`{}; it has: {}", self.hint(), titles.join(", "))]
pub struct NoSection {
    /// What was asked for.
    pub name: String,
    /// What there is.
    pub titles: Vec<String>,
}

impl NoSection {
    /// What was most likely meant: titles are known by their beginnings.
    fn hint(&self) -> String {
        let wanted = self.name.to_lowercase().replace('-', " ");
        let beginning = |title: &str| -> String {
            title.to_lowercase().chars().take(wanted.chars().count()).collect()
        };
        let beginnings: Vec<String> = self.titles.iter().map(|title| beginning(title)).collect();
        let near = nearest(&wanted, beginnings.iter().map(String::as_str));
        let nearest = near.and_then(|near| self.titles.iter().find(|it| beginning(it) == near));
        nearest.map_or(String::new(), |title| format!("; did you mean `{title}`?"))
    }
}

/// A part of a report with a heading.
#[derive(Debug, Clone, PartialEq)]
pub struct Section {
    /// Heading.
    pub title: String,
    /// Depth of the heading: 1 is directly below the report's title.
    pub level: usize,
    /// Whether short forms show it.
    pub brief: bool,
    /// Content, in order.
    pub blocks: Vec<Block>,
}

impl Section {
    /// A section directly below the title, left out of short forms.
    pub fn new(title: impl Into<String>) -> Self {
        Section { title: title.into(), level: 1, brief: false, blocks: Vec::new() }
    }

    /// The same section one level deeper.
    pub fn nested(mut self) -> Self {
        self.level += 1;
        self
    }

    /// The same section, shown in short forms if `brief`.
    pub fn brief(mut self, brief: bool) -> Self {
        self.brief = brief;
        self
    }

    /// The same section with one block more.
    pub fn with(mut self, block: impl Into<Block>) -> Self {
        self.blocks.push(block.into());
        self
    }
}

/// A piece of a section.
#[derive(Debug, Clone, PartialEq)]
pub enum Block {
    /// Running text.
    Paragraph(Text),
    /// Items without order.
    List(Vec<Text>),
    /// Names and values.
    Facts(Vec<(String, Text)>),
    /// A table.
    Table(Table),
    /// A picture.
    Chart(Chart),
}

impl Block {
    /// Footnotes that come after `by` others.
    fn shift_notes(&mut self, by: usize) {
        match self {
            Block::Paragraph(text) => text.shift_notes(by),
            Block::List(items) => items.iter_mut().for_each(|text| text.shift_notes(by)),
            Block::Facts(facts) => facts.iter_mut().for_each(|(_, text)| text.shift_notes(by)),
            Block::Chart(_) => {}
            Block::Table(table) => {
                table.caption.iter_mut().for_each(|text| text.shift_notes(by));
                let notes = table.columns.iter_mut().flat_map(|column| &mut column.notes);
                notes.for_each(|note| note.0 += by);
                for cell in table.rows.iter_mut().chain(&mut table.total).flatten() {
                    match cell {
                        Cell::Text(text) => text.shift_notes(by),
                        Cell::Figure(_, note) => note.iter_mut().for_each(|note| note.0 += by),
                        Cell::Missing(_) => {}
                    }
                }
            }
        }
    }
}

impl From<Text> for Block {
    fn from(text: Text) -> Self {
        Block::Paragraph(text)
    }
}

impl From<&str> for Block {
    fn from(text: &str) -> Self {
        Block::Paragraph(text.into())
    }
}

impl From<Table> for Block {
    fn from(table: Table) -> Self {
        Block::Table(table)
    }
}

impl From<Chart> for Block {
    fn from(chart: Chart) -> Self {
        Block::Chart(chart)
    }
}

/// What a word says about the run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tone {
    /// Nothing.
    Neutral,
    /// As it should be.
    Good,
    /// Look at this.
    Warning,
    /// Not as it should be.
    Bad,
}

/// The number of a footnote, counted from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Note(pub usize);

/// A stretch of text with one look.
#[derive(Debug, Clone, PartialEq)]
pub enum Span {
    /// Plain text.
    Plain(String),
    /// Stands out.
    Strong(Tone, String),
    /// Literal text: names, paths, commands, and everything that a target sent.
    Code(String),
    /// Reference to a footnote.
    Note(Note),
}

/// A line of text.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Text(pub Vec<Span>);

impl Text {
    /// Literal text: names, paths, commands, and everything that a target sent.
    pub fn literal(text: impl Into<String>) -> Self {
        Text::default().code(text)
    }

    /// A word that stands out.
    pub fn emphasis(tone: Tone, text: impl Into<String>) -> Self {
        Text::default().strong(tone, text)
    }

    fn shift_notes(&mut self, by: usize) {
        for span in &mut self.0 {
            if let Span::Note(note) = span {
                note.0 += by;
            }
        }
    }

    /// Continues with plain text.
    pub fn plain(mut self, text: impl Into<String>) -> Self {
        self.0.push(Span::Plain(text.into()));
        self
    }

    /// Continues with a word that stands out.
    pub fn strong(mut self, tone: Tone, text: impl Into<String>) -> Self {
        self.0.push(Span::Strong(tone, text.into()));
        self
    }

    /// Continues with literal text.
    pub fn code(mut self, text: impl Into<String>) -> Self {
        self.0.push(Span::Code(text.into()));
        self
    }

    /// Continues with a reference to a footnote.
    pub fn note(mut self, note: Note) -> Self {
        self.0.push(Span::Note(note));
        self
    }
}

impl From<&str> for Text {
    fn from(text: &str) -> Self {
        Text::default().plain(text)
    }
}

impl From<String> for Text {
    fn from(text: String) -> Self {
        Text::default().plain(text)
    }
}

/// A table.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Table {
    /// A line above the table.
    pub caption: Option<Text>,
    /// Columns.
    pub columns: Vec<Column>,
    /// Rows, each with one cell a column.
    pub rows: Vec<Vec<Cell>>,
    /// A last row that sums the others up.
    pub total: Option<Vec<Cell>>,
}

impl Table {
    /// A table without rows.
    pub fn new(columns: impl IntoIterator<Item = Column>) -> Self {
        Table { columns: columns.into_iter().collect(), ..Table::default() }
    }
}

/// Where the text of a column stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Align {
    /// Words.
    Left,
    /// Figures.
    Right,
}

/// A column of a table.
#[derive(Debug, Clone, PartialEq)]
pub struct Column {
    /// Heading, with the unit of its figures.
    pub heading: String,
    /// Where its text stands.
    pub align: Align,
    /// How its figures are made.
    pub notes: Vec<Note>,
    /// Where room is short, columns go in the order of this number, the highest first; 0 stays.
    pub expendable: u8,
}

impl Column {
    /// A column of words.
    pub fn words(heading: impl Into<String>) -> Self {
        Column { heading: heading.into(), align: Align::Left, notes: Vec::new(), expendable: 0 }
    }

    /// A column of figures.
    pub fn figures(heading: impl Into<String>) -> Self {
        Column { align: Align::Right, ..Column::words(heading) }
    }

    /// The same column with a footnote more.
    pub fn note(mut self, note: Note) -> Self {
        self.notes.push(note);
        self
    }

    /// The same column, left out where room is short.
    pub fn expendable(mut self, rank: u8) -> Self {
        self.expendable = rank;
        self
    }
}

/// What stands in a table.
#[derive(Debug, Clone, PartialEq)]
pub enum Cell {
    /// Words.
    Text(Text),
    /// A figure, formatted; with a caveat, where it has one.
    Figure(String, Option<Note>),
    /// There is no figure, and this is why.
    Missing(String),
}

impl Cell {
    /// The figure, or `why` there is none.
    pub fn figure(figure: Option<String>, why: &str) -> Self {
        match figure {
            Some(figure) => Cell::Figure(figure, None),
            None => Cell::Missing(why.to_owned()),
        }
    }
}

impl From<Text> for Cell {
    fn from(text: Text) -> Self {
        Cell::Text(text)
    }
}

impl From<&str> for Cell {
    fn from(text: &str) -> Self {
        Cell::Text(text.into())
    }
}

/// A picture.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chart {
    /// Folder of its file, in that of the report.
    pub folder: &'static str,
    /// Name of its file, without the ending.
    pub file_stem: String,
    /// Title.
    pub title: String,
    /// What it shows, in words, for who cannot see it.
    pub alt: String,
    /// The picture: a whole SVG document.
    pub svg: String,
}

impl Chart {
    /// Its file, from the folder of the report.
    pub fn file(&self) -> String {
        format!("{}/{}.svg", self.folder, self.file_stem)
    }
}
