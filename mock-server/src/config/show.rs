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

/// What a credential is called, in lower case and with `-` between the words. Where more words stand
/// before these, it is one too: `x-api-key`, `access_token`.
const CREDENTIALS: [&str; 6] =
    ["api-key", "authorization", "cookie", "password", "secret", "token"];

/// A word of a command line, a setting as `KEY=VALUE`, or a header as `NAME: VALUE`, without keys and
/// passwords.
pub fn concealed(word: &str) -> String {
    let word = without_user(word);
    match credential(&word) {
        Some(value) => format!("{}***", &word[..value]),
        None => word,
    }
}

/// Where the value of the first credential begins. All that follows it is concealed with it: where
/// such a value ends depends on who reads it.
fn credential(word: &str) -> Option<usize> {
    let values = word.match_indices(['=', ':']).filter_map(|(at, sign)| {
        let name = word[..at].trim_end_matches([' ', '"', '\'']);
        let is_of_name = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        let name = &name[name.trim_end_matches(is_of_name).len()..];
        let name = name.to_ascii_lowercase().replace('_', "-");
        let is_one = CREDENTIALS.iter().any(|known| {
            name.strip_suffix(known).is_some_and(|more| more.is_empty() || more.ends_with('-'))
        });
        // The time that a model takes per token is no secret.
        (is_one && name != "per-token").then_some(at + sign.len())
    });
    // A blank after `NAME:` and `NAME =` stays.
    let value = values.min()?;
    Some(value + word[value..].len() - word[value..].trim_start().len())
}

/// A word without the user and password of a URL in it.
fn without_user(word: &str) -> String {
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
