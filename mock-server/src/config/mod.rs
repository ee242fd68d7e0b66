//! The settings of all services, from a file, from the command line, or from a table in another
//! document, all checked by the same types.
//!
//! The command line comes before the file, and the file before the defaults. In each of them a key of
//! its own comes before what a preset says.

mod layers;
mod service;
mod set;
mod show;

use std::borrow::Cow;
use std::ops::Range;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::document::tree::{Node, moved};
use crate::document::{Diagnostic, Source, Sources, in_words, parse, read_tree};
use crate::faults::Preset;
use crate::{Behaviour, Ensemble, Inference, Llm, MultiQuery};
use layers::{InTheWay, Key, PRESET, of_preset, put};
pub use service::ServiceName;
pub use set::Set;
pub use show::{concealed, show};

/// The settings of all services, those that are not run included.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Config {
    /// Address or name of the interface that all listen on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// Where each listens.
    pub ports: Ports,
    /// The inference service.
    pub inference: Inference,
    /// The llm service.
    pub llm: Llm,
    /// The multi-query service.
    pub multi_query: MultiQuery,
    /// The ensemble service.
    pub ensemble: Ensemble,
}

/// Ports that are chosen; 0 is any free one.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Ports {
    inference: Option<u16>,
    llm: Option<u16>,
    multi_query: Option<u16>,
    ensemble: Option<u16>,
}

impl Ports {
    /// The port chosen for a service.
    pub fn get(&self, service: ServiceName) -> Option<u16> {
        match service {
            ServiceName::Inference => self.inference,
            ServiceName::Llm => self.llm,
            ServiceName::MultiQuery => self.multi_query,
            ServiceName::Ensemble => self.ensemble,
        }
    }

    /// Chooses the port of a service.
    pub fn set(&mut self, service: ServiceName, port: u16) {
        let place = match service {
            ServiceName::Inference => &mut self.inference,
            ServiceName::Llm => &mut self.llm,
            ServiceName::MultiQuery => &mut self.multi_query,
            ServiceName::Ensemble => &mut self.ensemble,
        };
        *place = Some(port);
    }
}

impl Config {
    /// How a service behaves.
    pub fn behaviour(&self, service: ServiceName) -> Behaviour {
        match service {
            ServiceName::Inference => Behaviour::Inference(self.inference.clone()),
            ServiceName::Llm => Behaviour::Llm(self.llm.clone()),
            ServiceName::MultiQuery => Behaviour::MultiQuery(self.multi_query.clone()),
            ServiceName::Ensemble => Behaviour::Ensemble(self.ensemble.clone()),
        }
    }
}

/// What is given in place of defaults.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Given {
    /// A whole document.
    pub file: Option<Arc<Source>>,
    /// Presets of the command line, each for one service.
    pub presets: Vec<(ServiceName, Preset)>,
    /// Settings of the command line; a later one replaces an earlier one.
    pub sets: Vec<Set>,
}

/// Reads all settings.
///
/// # Errors
/// All mistakes of the file; or, where it has none, all of the command line.
pub fn read(given: &Given) -> Result<Config, Vec<Diagnostic>> {
    let defaults = text_of(&Config::default())?;
    let defaults = tree_of(&defaults)?;
    let mut reader = Reader::default();
    let mut tree = match &given.file {
        Some(file) => {
            reader.sources.add(file);
            parse(file)?
        }
        None => empty(),
    };
    reader.presets(tree.get_mut(), &defaults);
    let written = reader.read(tree.clone())?;
    if given.presets.is_empty() && given.sets.is_empty() {
        return Ok(written);
    }
    let in_force = text_of(&written)?;
    let in_force = tree_of(&in_force)?;
    let mut tree = tree;
    reader.command_line(tree.get_mut(), &in_force, given);
    reader.read(tree)
}

/// What is wrong with the settings of `service` in a table that is made of parts of `sources`.
///
/// ```
/// use std::sync::Arc;
/// use mock_server::config::{self, ServiceName};
/// use mock_server::document::{Source, Sources};
///
/// let text = "engine = \"treaded\"";
/// let source = Arc::new(Source { name: "a.toml".into(), text: text.into() });
/// let table = toml::de::DeTable::parse(text).unwrap().into_inner();
/// let problems = config::check(ServiceName::Inference, &Sources::from(&source), table);
/// assert_eq!(problems[0].label, "did you mean `threaded`?");
/// ```
pub fn check(service: ServiceName, sources: &Sources, table: DeTable<'_>) -> Vec<Diagnostic> {
    let checked = || {
        let defaults = text_of(&Config::default())?;
        let mut reader = Reader { sources: sources.clone(), ..Reader::default() };
        let mut tree = empty();
        let table = Spanned::new(place_of(&table), DeValue::Table(table));
        tree.get_mut().insert(Spanned::new(0..0, service.as_str().into()), table);
        reader.presets(tree.get_mut(), &tree_of(&defaults)?);
        reader.read(tree)
    };
    checked().err().unwrap_or_default()
}

/// From the first key of a table to its last value.
fn place_of(table: &DeTable<'_>) -> Range<usize> {
    let starts = table.keys().map(|key| key.span().start);
    let ends = table.values().map(|value| value.span().end);
    let start = starts.min().unwrap_or_default();
    start..ends.max().unwrap_or_default().max(start)
}

fn empty<'i>() -> Spanned<DeTable<'i>> {
    Spanned::new(0..0, DeTable::new())
}

/// All settings as a document.
fn text_of(config: &Config) -> Result<String, Vec<Diagnostic>> {
    toml::to_string(config).map_err(|error| {
        vec![Diagnostic::general(format!("the settings cannot be written as TOML: {error}"))]
    })
}

fn tree_of(text: &str) -> Result<DeTable<'_>, Vec<Diagnostic>> {
    let source =
        Arc::new(Source { name: "the settings in force".to_owned(), text: text.to_owned() });
    parse(&source).map(|_| ())?;
    Ok(DeTable::parse(text).map(Spanned::into_inner).unwrap_or_default())
}

/// The table of a service.
fn table_of<'a, 'i>(root: &'a DeTable<'i>, service: ServiceName) -> Option<&'a DeTable<'i>> {
    root.get(service.as_str())?.get_ref().as_table()
}

/// What serde says, with the key that is read before serde sees the table.
fn with_preset(message: &str) -> String {
    let is_of_service = ["`latency`", "`faults`"].iter().all(|key| message.contains(key));
    match message.starts_with("unknown field") && is_of_service {
        true => format!("{message}, `{PRESET}`"),
        false => message.to_owned(),
    }
}

/// Reads trees that are made of parts of several sources.
#[derive(Default)]
struct Reader {
    sources: Sources,
    problems: Vec<Diagnostic>,
}

impl Reader {
    /// The settings that a tree means, unless something is wrong with it or was before.
    fn read(&mut self, tree: Spanned<DeTable<'_>>) -> Result<Config, Vec<Diagnostic>> {
        let found = match read_tree(tree, &|span| self.sources.spot(span), &with_preset) {
            Ok(config) if self.problems.is_empty() => return Ok(config),
            Ok(_) => Vec::new(),
            Err(found) => found,
        };
        self.problems.extend(found);
        let sources = &self.sources;
        self.problems.sort_by_key(|p| p.spot.as_ref().and_then(|spot| sources.offset(spot)));
        Err(std::mem::take(&mut self.problems))
    }

    /// Replaces the preset in each service's table by what it means, where the table does not say
    /// otherwise.
    fn presets<'i>(&mut self, root: &mut DeTable<'i>, defaults: &DeTable<'i>) {
        for service in ServiceName::ALL {
            let table = root.get_mut(service.as_str()).map(Spanned::get_mut);
            let Some(DeValue::Table(table)) = table else { continue };
            let Some(named) = table.remove(PRESET) else { continue };
            let place = named.span();
            let Some(preset) = self.preset(&named) else { continue };
            for (path, value) in of_preset(preset, &place) {
                if !table.contains_key(&*path[0].0) {
                    // Nothing can be in the way where nothing is.
                    let _ = put(table, table_of(defaults, service), usize::MAX, &path, value);
                }
            }
        }
    }

    /// The preset that is named, or a problem at its place.
    fn preset(&mut self, named: &Node<'_>) -> Option<Preset> {
        let preset = match named.get_ref() {
            DeValue::String(name) => name.parse::<Preset>(),
            other => Err(format!(
                "invalid type: {}, expected the name of a preset, such as \"realistic\"",
                other.type_str()
            )),
        };
        let problem = |message: String| in_words(self.sources.spot(named.span()), &message);
        preset.map_err(problem).map_err(|p| self.problems.push(p)).ok()
    }

    /// Lays the command line over what is written in the file: presets first, then the settings in
    /// their order.
    fn command_line<'i>(
        &mut self,
        root: &mut DeTable<'i>,
        in_force: &DeTable<'i>,
        given: &'i Given,
    ) {
        let mut since = None;
        let mut begin = |sources: &mut Sources, source: &Arc<Source>| {
            let base = sources.add(source);
            (*since.get_or_insert(base), base)
        };
        let mut puts: Vec<Put<'i>> = Vec::new();
        for (service, preset) in &given.presets {
            let text = preset.name().to_owned();
            let name = "--preset".to_owned();
            let source = Arc::new(Source { name, text });
            let (since, base) = begin(&mut self.sources, &source);
            let place = base..base + source.text.len();
            for (path, value) in of_preset(*preset, &place) {
                puts.push(Put { service: *service, since, path, place: place.clone(), value });
            }
        }
        let mut presets = puts.len();
        for set in &given.sets {
            let service = set.service();
            let (since, base) = begin(&mut self.sources, set.source());
            let value = match set.value() {
                Ok(value) => moved(value, &|span| span.start + base..span.end + base),
                Err(problem) => {
                    self.problems.push(problem);
                    continue;
                }
            };
            let path: Vec<Key<'i>> = set
                .path()
                .map(|(key, at)| (Cow::Borrowed(key), at.start + base..at.end + base))
                .collect();
            let place = path[0].1.start..base + set.text().len();
            match path.as_slice() {
                [(key, _)] if key == PRESET => {
                    let Some(preset) = self.preset(&value) else { continue };
                    // Before all that is set by a key of its own.
                    for (path, value) in of_preset(preset, &place) {
                        let place = place.clone();
                        puts.insert(presets, Put { service, since, path, place, value });
                        presets += 1;
                    }
                }
                _ => puts.push(Put { service, since, path, place, value }),
            }
        }
        self.lay(root, in_force, puts);
    }

    fn lay<'i>(&mut self, root: &mut DeTable<'i>, in_force: &DeTable<'i>, puts: Vec<Put<'i>>) {
        for Put { service, since, path, place, value } in puts {
            // The table of a service says only what is not as it would be anyway: it starts empty.
            let name = service.as_str();
            let written = root.remove(name).map(Spanned::into_inner);
            let mut table = match written {
                Some(DeValue::Table(table)) => table,
                _ => DeTable::new(),
            };
            let put = put(&mut table, table_of(in_force, service), since, &path, value);
            // What contradicts itself now does so because of what was put here.
            let table = Spanned::new(place.clone(), DeValue::Table(table));
            root.insert(Spanned::new(place.start..place.start, name.into()), table);
            if let Err(InTheWay { key, place }) = put {
                let message = format!("`{key}` was given as one value before");
                let label = format!("give that one as a table: `--set '{key}={{ … }}'`");
                let spot = self.sources.spot(place);
                self.problems.push(Diagnostic { message, spot, label, help: None });
            }
        }
    }
}

/// A value of the command line and where it goes.
struct Put<'i> {
    service: ServiceName,
    /// Where the command line begins in the row of sources.
    since: usize,
    path: Vec<Key<'i>>,
    /// All of the text that says so.
    place: Range<usize>,
    value: Node<'i>,
}
