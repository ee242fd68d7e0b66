//! From the text of a document to the type that says what is written in it, with every mistake of
//! spelling and type, not only the first.

use std::ops::Range;
use std::sync::Arc;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use toml::Spanned;
use toml::de::DeTable;

use super::diagnostic::Diagnostic;
use super::names::{nearest, one_of};
use super::source::{Source, Spot};
use super::tree::{Mend, dates, mend};

/// The most mistakes that are looked for in one document.
const ENOUGH: usize = 50;

/// Reads a document.
///
/// # Errors
/// All mistakes of syntax; or, where there is none, all misspelt keys and values of a wrong type.
pub fn read<T: DeserializeOwned>(source: &Arc<Source>) -> Result<T, Vec<Diagnostic>> {
    let tree = parse(source)?;
    let spot = |span| Some(Spot { source: Arc::clone(source), span });
    read_tree(tree, &spot, &str::to_owned)
}

/// The tree of a document.
///
/// # Errors
/// All mistakes of syntax.
pub fn parse(source: &Arc<Source>) -> Result<Spanned<DeTable<'_>>, Vec<Diagnostic>> {
    let (tree, errors) = DeTable::parse_recoverable(&source.text);
    match errors.as_slice() {
        [] => Ok(tree),
        _ => Err(errors.iter().map(|error| syntax_error(source, error)).collect()),
    }
}

/// Reads a tree. `spot` finds the place of a stretch of it; `reword` is given what serde says of each
/// mistake before it is put into words.
///
/// The first mistake ends the reading of a table. So it is mended in the tree (a misspelt key
/// or word becomes what it was probably meant to be, anything else is taken out), and the tree is read
/// again, until it reads.
///
/// # Errors
/// All misspelt keys and values of a wrong type.
pub fn read_tree<T: for<'a> Deserialize<'a>>(
    mut tree: Spanned<DeTable<'_>>,
    spot: &dyn Fn(Range<usize>) -> Option<Spot>,
    reword: &dyn Fn(&str) -> String,
) -> Result<T, Vec<Diagnostic>> {
    let mut problems = Vec::new();
    for span in dates(tree.get_ref()) {
        mend(tree.get_mut(), &span, &Mend::Remove);
        problems.push(placed(spot(span), "a date is not used here", "put it in quotes"));
    }
    for _ in 0..ENOUGH {
        let error = match T::deserialize(toml::de::Deserializer::from(tree.clone())) {
            Ok(read) if problems.is_empty() => return Ok(read),
            Ok(_) => break,
            Err(error) => error,
        };
        let span = error.span().unwrap_or(0..0);
        let problem = in_words(spot(span.clone()), &reword(error.message()));
        // A name that only the rewording knows would not be read.
        let (_, mending) = in_words_and_mended(None, error.message());
        if !problems.contains(&problem) {
            problems.push(problem);
        }
        if !mend(tree.get_mut(), &span, &mending) {
            break;
        }
    }
    problems.sort_by_key(|problem| problem.spot.as_ref().map(|spot| spot.span.start));
    Err(problems)
}

fn placed(spot: Option<Spot>, message: impl Into<String>, label: impl Into<String>) -> Diagnostic {
    Diagnostic { message: message.into(), spot, label: label.into(), help: None }
}

fn syntax_error(source: &Arc<Source>, error: &toml::de::Error) -> Diagnostic {
    let span = error.span().unwrap_or(0..0);
    let spot = Spot { source: Arc::clone(source), span };
    let (what, expected) = error.message().split_once(", ").unwrap_or((error.message(), ""));
    Diagnostic::at(spot, format!("this is not TOML: {what}"), expected)
}

/// serde's words for what is wrong at a place, made into ours.
pub(crate) fn in_words(spot: Option<Spot>, message: &str) -> Diagnostic {
    in_words_and_mended(spot, message).0
}

/// serde's words for a misspelt key, a wrong word or a wrong type, made into ours; and how the rest
/// can be read nevertheless.
fn in_words_and_mended(spot: Option<Spot>, message: &str) -> (Diagnostic, Mend) {
    for (said, what, kind) in
        [("unknown field", "unknown key", "key"), ("unknown variant", "unknown word", "word")]
    {
        let Some(names) = message.strip_prefix(said) else { continue };
        let mut quoted = names.split('`').skip(1).step_by(2);
        let wrong = quoted.next().unwrap_or_default();
        let right: Vec<&str> = quoted.collect();
        let near = nearest(wrong, right.iter().copied());
        let label = match near {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("no such {kind} here"),
        };
        let problem = placed(spot, format!("{what} `{wrong}`"), label)
            .help(format!("{kind}s that may stand here: {}", one_of(right.iter().copied())));
        let mending = match (kind, near.or(right.first().copied())) {
            ("key", _) => near.map_or(Mend::Remove, |near| Mend::Rename(near.to_owned())),
            (_, Some(word)) => Mend::Reword(word.to_owned()),
            (_, None) => Mend::Remove,
        };
        return (problem, mending);
    }
    let mistake = ["invalid type: ", "invalid value: "]
        .iter()
        .find_map(|said| message.strip_prefix(said)?.split_once(", expected "));
    let problem = match mistake {
        Some((found, expected)) => {
            let message = format!("wrong kind of value: {}", plain(found));
            placed(spot, message, format!("expected {}", plain(expected)))
        }
        None => match message.strip_prefix("missing field ") {
            Some(key) => placed(spot, format!("the key {key} is missing here"), ""),
            None => placed(spot, message, ""),
        },
    };
    (problem, Mend::Remove)
}

/// serde's names of types in words.
fn plain(kind: &str) -> &str {
    match kind {
        "map" | "a map" => "a table",
        "sequence" | "a sequence" => "a list (of tables: `[[…]]`)",
        "u32" | "u64" | "usize" => "a whole number from 0",
        "u16" => "a whole number from 0 to 65535",
        "a nonzero usize" => "a whole number from 1",
        "f64" => "a number",
        _ if kind.starts_with("struct ") => "a table",
        _ => kind,
    }
}
