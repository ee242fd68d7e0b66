//! What the provenance of every report says alike: on which machine, by which command.

use crate::store::entry::Environment;

use super::format;
use super::model::Text;

/// The machine in words.
pub fn machine(environment: &Environment) -> Text {
    Text::from(format!(
        "{}, {}, {} of memory",
        environment.cpu,
        format::counted(environment.cores as u64, "core", "cores"),
        format::bytes(environment.memory_bytes),
    ))
}

/// A command line as a shell takes it.
pub fn command(words: &[String]) -> Text {
    let quoted: Vec<_> = words.iter().map(|word| shell_words::quote(word).into_owned()).collect();
    Text::literal(quoted.join(" "))
}
