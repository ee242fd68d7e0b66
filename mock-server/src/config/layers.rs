//! Settings laid over settings, in the tree of a document, each part with its place.

use std::borrow::Cow;
use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::document::tree::{Node, moved_table};
use crate::faults::Preset;

/// The key of a preset, in each service's table.
pub(super) const PRESET: &str = "preset";
pub(super) const LATENCY: &str = "latency";
pub(super) const FAULTS: &str = "faults";

/// A key and its place.
pub(super) type Key<'i> = (Cow<'i, str>, Range<usize>);

/// A single value is in the way of keys below it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct InTheWay {
    pub key: String,
    pub place: Range<usize>,
}

/// Puts a value where `path` leads. Where the tables on that way are not written, those in force are
/// the start, so that their other keys stay as they are. What was written before `since` as one
/// value gives way to the table in force, which says the same.
pub(super) fn put<'i>(
    table: &mut DeTable<'i>,
    in_force: Option<&DeTable<'i>>,
    since: usize,
    path: &[Key<'i>],
    value: Node<'i>,
) -> Result<(), InTheWay> {
    let Some(((key, place), rest)) = path.split_first() else { return Ok(()) };
    let written = table.remove(&**key);
    let value = if rest.is_empty() {
        value
    } else {
        let in_force = in_force.and_then(|table| table.get(&**key)?.get_ref().as_table());
        // Parts that nobody wrote take no place: no mistake can be in them.
        let known = |table: &DeTable<'i>| moved_table(table.clone(), &|_| place.start..place.start);
        let mut inner = match written.map(|node| (node.span(), node.into_inner())) {
            Some((_, DeValue::Table(inner))) => inner,
            // A latency that is one value is its base.
            Some((span, base)) if span.start >= since && key.ends_with(LATENCY) => {
                let name = Spanned::new(span.start..span.start, Cow::Borrowed("base"));
                DeTable::from_iter([(name, Spanned::new(span, base))])
            }
            Some((span, _)) if span.start >= since => {
                return Err(InTheWay { key: key.clone().into_owned(), place: place.clone() });
            }
            _ => in_force.map(known).unwrap_or_default(),
        };
        put(&mut inner, in_force, since, rest, value)?;
        // What contradicts itself now does so because of what was put here.
        Spanned::new(place.clone(), DeValue::Table(inner))
    };
    table.insert(Spanned::new(place.clone(), key.clone()), value);
    Ok(())
}

/// What a preset means as settings: the base of the latency (what the service takes per item and per
/// token stays), and the faults.
pub(super) fn of_preset<'i>(preset: Preset, place: &Range<usize>) -> [(Vec<Key<'i>>, Node<'i>); 2] {
    let key = |name: &'static str| (Cow::Borrowed(name), place.clone());
    let text = |text: String| Spanned::new(place.clone(), DeValue::String(text.into()));
    [
        (vec![key(LATENCY), key("base")], text(preset.latency().base.to_string())),
        (vec![key(FAULTS)], text(preset.name().to_owned())),
    ]
}
