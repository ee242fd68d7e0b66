//! A document as a tree whose parts know their places, before it is known what it means.

use std::mem;
use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// A value and its place.
pub type Node<'i> = Spanned<DeValue<'i>>;

/// The same value with each place moved.
pub fn moved<'i>(node: Node<'i>, place: &dyn Fn(Range<usize>) -> Range<usize>) -> Node<'i> {
    let at = place(node.span());
    let value = match node.into_inner() {
        DeValue::Table(table) => DeValue::Table(moved_table(table, place)),
        DeValue::Array(mut items) => {
            for item in items.iter_mut() {
                let taken = mem::replace(item, Spanned::new(0..0, DeValue::Boolean(false)));
                *item = moved(taken, place);
            }
            DeValue::Array(items)
        }
        scalar => scalar,
    };
    Spanned::new(at, value)
}

/// The same table with each place moved.
pub(crate) fn moved_table<'i>(
    table: DeTable<'i>,
    place: &dyn Fn(Range<usize>) -> Range<usize>,
) -> DeTable<'i> {
    let entries = table.into_iter().map(|(key, value)| {
        (Spanned::new(place(key.span()), key.into_inner()), moved(value, place))
    });
    entries.collect()
}

/// Places of dates, which have no meaning in any document read here, and which JSON lacks.
pub(super) fn dates(table: &DeTable<'_>) -> Vec<Range<usize>> {
    fn visit(value: &Node<'_>, found: &mut Vec<Range<usize>>) {
        match value.get_ref() {
            DeValue::Datetime(_) => found.push(value.span()),
            DeValue::Array(items) => items.iter().for_each(|item| visit(item, found)),
            DeValue::Table(table) => table.iter().for_each(|(_, value)| visit(value, found)),
            _ => {}
        }
    }
    let mut found = Vec::new();
    table.iter().for_each(|(_, value)| visit(value, &mut found));
    found
}

/// What is done about a mistake so that the rest can be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Mend {
    /// The key was probably meant to be this one.
    Rename(String),
    /// The word was probably meant to be this one.
    Reword(String),
    /// It is left out.
    Remove,
}

/// Mends the innermost entry of the tree whose key or value holds `span`. (The span of a table with a
/// header covers its header alone: so every branch is searched.) Whether there was one.
pub(super) fn mend(table: &mut DeTable<'_>, span: &Range<usize>, mending: &Mend) -> bool {
    for (_, node) in table.iter_mut() {
        if within(node, span, mending) {
            return true;
        }
    }
    let covers = |outer: Range<usize>| outer.start <= span.start && span.end <= outer.end;
    let found = table
        .iter()
        .find(|(key, value)| covers(key.span()) || covers(value.span()))
        .map(|(key, _)| key.clone());
    let Some((key, value)) = found.and_then(|key| table.remove_entry(&key)) else { return false };
    match mending {
        Mend::Rename(meant) if !table.contains_key(meant.as_str()) => {
            table.insert(Spanned::new(key.span(), meant.clone().into()), value);
        }
        _ => {}
    }
    true
}

fn within(node: &mut Node<'_>, span: &Range<usize>, mending: &Mend) -> bool {
    let is_it = node.span() == *span;
    match (node.get_mut(), mending) {
        (DeValue::Table(table), _) => mend(table, span, mending),
        (DeValue::Array(items), _) => items.iter_mut().any(|item| within(item, span, mending)),
        (word @ DeValue::String(_), Mend::Reword(meant)) if is_it => {
            *word = DeValue::String(meant.clone().into());
            true
        }
        _ => false,
    }
}
