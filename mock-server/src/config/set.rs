//! One setting on the command line: `[SERVICE.]KEY=VALUE`.

use std::ops::Range;
use std::sync::Arc;

use super::ServiceName;
use crate::document::tree::Node;
use crate::document::{Diagnostic, Setting, Source, Spot};

/// A setting of one service. Its value is TOML, or else a plain string.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Set {
    service: ServiceName,
    /// The service's name left out of the key.
    setting: Setting,
}

impl Set {
    /// Reads `text`; without a service's name in front it is a setting of the only one of `services`.
    ///
    /// # Errors
    /// There is no key or no value, or more than one service could be meant.
    pub fn parse(text: &str, services: &[ServiceName]) -> Result<Set, Diagnostic> {
        let mut setting = Setting::parse(text, "latency=50ms")?;
        let mut path = setting.path();
        let first: Option<ServiceName> = path.next().and_then(|(part, _)| part.parse().ok());
        let has_more = path.next().is_some();
        drop(path);
        let service = match (first, services) {
            (Some(service), _) if has_more => {
                setting.remove_first_part();
                service
            }
            (_, [service]) => *service,
            _ => {
                let names: Vec<&str> = services.iter().map(|name| name.as_str()).collect();
                let label = format!("expected the service in front, as in `{}.{text}`", names[0]);
                let message = format!("which of {} is this for?", names.join(", "));
                let span = 0..text.find('=').unwrap_or(text.len());
                let spot = Spot { source: Arc::clone(setting.source()), span };
                return Err(Diagnostic::at(spot, message, label));
            }
        };
        Ok(Set { service, setting })
    }

    /// The service that it is for.
    pub fn service(&self) -> ServiceName {
        self.service
    }

    /// As it was given.
    pub fn text(&self) -> &str {
        &self.setting.source().text
    }

    /// The text that it was read from.
    pub(super) fn source(&self) -> &Arc<Source> {
        self.setting.source()
    }

    /// The key's parts and their places.
    pub(super) fn path(&self) -> impl Iterator<Item = (&str, Range<usize>)> {
        self.setting.path()
    }

    /// The value and its place: TOML, or where it is none a plain string.
    ///
    /// # Errors
    /// A list, a table or a quoted string that is not TOML.
    pub(super) fn value(&self) -> Result<Node<'_>, Diagnostic> {
        self.setting.value()
    }
}
