//! What is laid over a scenario before it is read into types: a variant of its own, and settings of
//! the command line. So every check applies to the result, and every mistake has its place.

use std::sync::Arc;

use mock_server::document::{self, Setting, Sources, lay, moved};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::errors::{Diagnostic, ScenarioError, Source, suggestion};

/// The table of variants.
const VARIANT: &str = "variant";

/// What a text stands for where a scenario may have a table or a text.
fn short_form(table: &str) -> Option<&'static str> {
    match table {
        "service" => Some("name"),
        "rows" => Some("from"),
        // A service may have several: `snapshot_latency`.
        latency if latency.starts_with("service.") && latency.ends_with("latency") => Some("base"),
        _ => None,
    }
}

/// What is laid over a scenario.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Overlay {
    /// Name of one of its variants.
    pub variant: Option<String>,
    /// `KEY=VALUE`, as given; a later one replaces an earlier one, and each comes before the
    /// variant.
    pub settings: Vec<Setting>,
}

impl Overlay {
    /// Reads what the command line gives.
    ///
    /// # Errors
    ///
    /// A setting without a key or a value.
    pub fn new(variant: Option<String>, settings: &[String]) -> Result<Overlay, ScenarioError> {
        let example = "step.query.concurrency=4";
        let settings = settings.iter().map(|text| Setting::parse(text, example));
        Ok(Overlay { variant, settings: settings.collect::<Result<_, _>>()? })
    }
}

/// A document with all that is laid over it, and the sources of its parts.
pub(super) struct Layered<'i> {
    pub sources: Sources,
    pub tree: Spanned<DeTable<'i>>,
}

impl<'i> Layered<'i> {
    /// Lays `overlay` over the document `source`.
    pub fn new(
        source: &'i Arc<Source>,
        overlay: &'i Overlay,
    ) -> Result<Layered<'i>, ScenarioError> {
        let failed = |diagnostics| ScenarioError { diagnostics };
        let mut tree = document::parse(source).map_err(failed)?;
        let mut sources = Sources::from(source);
        let mut astray = Vec::new();
        if let Some(name) = &overlay.variant {
            let variant = variant(tree.get_ref(), name)?;
            lay(tree.get_mut(), variant, short_form, &mut astray);
        }
        let mut diagnostics = Vec::new();
        for setting in &overlay.settings {
            let base = sources.add(setting.source());
            match setting.value() {
                Ok(value) => {
                    let value = moved(value, &|span| span.start + base..span.end + base);
                    let over = nested(setting, base, value);
                    lay(tree.get_mut(), over, short_form, &mut astray);
                }
                Err(problem) => diagnostics.push(problem),
            }
        }
        diagnostics.extend(astray.into_iter().map(|astray| Diagnostic {
            message: astray.message,
            spot: sources.spot(astray.place),
            label: astray.label,
            help: None,
        }));
        if diagnostics.is_empty() {
            Ok(Layered { sources, tree })
        } else {
            Err(failed(diagnostics))
        }
    }
}

/// The table of a variant.
fn variant<'i>(root: &DeTable<'i>, name: &str) -> Result<DeTable<'i>, Diagnostic> {
    let variants = root.get(VARIANT).and_then(|variants| variants.get_ref().as_table());
    let found = variants.and_then(|variants| variants.get(name)?.get_ref().as_table());
    found.cloned().ok_or_else(|| {
        let names = variants.into_iter().flat_map(DeTable::keys);
        let names: Vec<&str> = names.map(|name| &**name.get_ref()).collect();
        let hint = match names.is_empty() {
            true => "it has none: add [variant.NAME]".to_owned(),
            false => suggestion(name, names),
        };
        Diagnostic::general(format!("the scenario has no variant `{name}`")).help(hint)
    })
}

/// A setting as tables, one in the other.
fn nested<'i>(setting: &'i Setting, base: usize, value: document::Node<'i>) -> DeTable<'i> {
    let parts: Vec<_> = setting.path().collect();
    let mut table = DeTable::new();
    let mut inner = value;
    for (place, (part, at)) in parts.iter().enumerate().rev() {
        let at = at.start + base..at.end + base;
        let key = Spanned::new(at.clone(), (*part).into());
        if place == 0 {
            table.insert(key, inner);
            break;
        }
        inner = Spanned::new(at, DeValue::Table(DeTable::from_iter([(key, inner)])));
    }
    table
}
