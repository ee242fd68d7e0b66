//! Settings as a document to start from.

use toml::{Table, Value};

use super::{Config, ServiceName};

/// The settings of these services as a document that [`read`](super::read) reads. Keys and passwords
/// are left out.
///
/// # Errors
/// A value that TOML has no form for.
pub fn show(config: &Config, services: &[ServiceName]) -> Result<String, toml::ser::Error> {
    let mut all = Table::try_from(config)?;
    let is_shown = |name: &str| services.iter().any(|service| service.as_str() == name);
    all.retain(|key, _| key == "host" || key == "ports" || is_shown(key));
    if let Some(Value::Table(ports)) = all.get_mut("ports") {
        ports.retain(|name, _| is_shown(name));
    }
    all.iter_mut().for_each(|(_, value)| conceal(value));
    toml::to_string(&all)
}

/// A word of a command line, or a setting as `KEY=VALUE`, without keys and passwords.
pub fn concealed(word: &str) -> String {
    if let Some((name, _)) = word.split_once('=')
        && word.contains("api_key")
    {
        return format!("{name}=***");
    }
    let Some((before, rest)) = word.split_once("://") else { return word.to_owned() };
    let (authority, path) = rest.split_at(rest.find(['/', '"']).unwrap_or(rest.len()));
    match authority.rsplit_once('@') {
        Some((_, host)) => format!("{before}://{host}{path}"),
        None => word.to_owned(),
    }
}

/// Takes user names and passwords out of URLs. (Keys of services are not written in the first place.)
fn conceal(value: &mut Value) {
    match value {
        Value::String(text) => *text = concealed(text),
        Value::Array(items) => items.iter_mut().for_each(conceal),
        Value::Table(table) => table.iter_mut().for_each(|(_, value)| conceal(value)),
        _ => {}
    }
}
