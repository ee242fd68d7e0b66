//! The reference service that is started where no target is given, and its settings.

use std::collections::BTreeMap;
use std::ops::Range;

use mock_server::config::{self, ServiceName};

use crate::scenario::file::ServiceOptions;
use crate::scenario::model::Service;
use crate::scenario::written::{At, Node, TextOr};

use super::Checker;

/// The key that is no setting of the service.
const NAME: &str = "name";
/// The service that is started behind one that calls another; its settings stand in a table of its
/// name among those of the first.
const BEHIND: ServiceName = ServiceName::Llm;

impl Checker<'_> {
    pub(super) fn service(&mut self, written: At<TextOr<ServiceOptions>>) -> Option<Service> {
        let mut entries = match written.value {
            TextOr::Text(name) => {
                self.service_name(&name, &written.span)?;
                return Some(Service { name, options: BTreeMap::new() });
            }
            TextOr::Table(entries) => entries,
        };
        let name = At { value: NAME.to_owned(), span: 0..0 };
        let (name, span) = match entries.remove(&name) {
            Some(At { value: Node::Text(name), span }) => (name, span),
            _ => {
                let label = "expected `name = \"inference\"`";
                self.problem(&written.span, "the service has no name", label);
                return None;
            }
        };
        let service = self.service_name(&name, &span)?;
        self.settings(service);
        let behind = At { value: BEHIND.as_str().to_owned(), span: 0..0 };
        let mut options = BTreeMap::new();
        if let (true, Some(At { value: Node::Table(settings), .. })) =
            (service.calls_upstream(), entries.get(&behind))
        {
            let named = settings
                .iter()
                .map(|(key, value)| (format!("{BEHIND}.{}", key.value), plain(&value.value)));
            options.extend(named);
            entries.remove(&behind);
        }
        options.extend(entries.into_iter().map(|(key, value)| (key.value, plain(&value.value))));
        Some(Service { name, options })
    }

    fn service_name(&mut self, name: &str, span: &Range<usize>) -> Option<ServiceName> {
        let service = name.parse();
        let unknown = |hint: String| {
            self.problem(span, format!("there is no reference service `{name}`"), hint);
        };
        service.map_err(unknown).ok()
    }

    /// Finds what is wrong with the settings, in the service's own words.
    fn settings(&mut self, service: ServiceName) {
        let tree = self.layered.tree.get_ref();
        let table = tree.get("service").and_then(|table| table.get_ref().as_table());
        let mut table = table.cloned().unwrap_or_default();
        table.remove(NAME);
        let sources = &self.layered.sources;
        let behind = table.get(BEHIND.as_str()).filter(|_| service.calls_upstream());
        if let Some(settings) = behind.and_then(|behind| behind.get_ref().as_table().cloned()) {
            self.problems.extend(config::check(BEHIND, sources, settings));
            table.remove(BEHIND.as_str());
        }
        self.problems.extend(config::check(service, sources, table));
    }
}

/// A setting as a person would write it behind `--set KEY=`.
fn plain(value: &Node) -> String {
    let is_word = |text: &str| {
        text.starts_with(|first: char| first.is_ascii_alphabetic())
            && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_')
            && !["true", "false", "inf", "nan"].contains(&text)
    };
    match value {
        Node::Text(text) if is_word(text) => text.clone(),
        other => other.to_toml().to_string(),
    }
}
