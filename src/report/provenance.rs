//! What the provenance of every report says alike: on which machine, by which command.

use crate::store::entry::Environment;

use super::format;
use super::model::Text;

/// The machine in words.
pub fn machine(environment: &Environment) -> Text {
    Text::from(format!(
        "{}, {}, {} of memory",
        environment.cpu,
        environment.cores_in_words(),
        format::bytes(environment.memory_bytes),
    ))
}

/// The version that measured.
pub fn version(environment: &Environment) -> String {
    let commit = environment.gander_commit.as_deref().unwrap_or("not known");
    format!("{} (commit {commit})", environment.gander_version)
}

/// A command line as a shell takes it.
pub fn command(words: &[String]) -> Text {
    let quoted: Vec<_> = words.iter().map(|word| shell_words::quote(word).into_owned()).collect();
    Text::literal(quoted.join(" "))
}

/// What was laid over the scenario's file; nothing where it was carried out as it is.
pub fn laid_over(
    variant: Option<&str>,
    settings: &[String],
) -> impl Iterator<Item = (&'static str, Text)> {
    let settings = settings.split_first().map(|(first, more)| {
        more.iter().fold(Text::literal(first), |text, one| text.plain(", ").code(one))
    });
    let variant = variant.map(|variant| ("Variant", Text::literal(variant)));
    variant.into_iter().chain(settings.map(|settings| ("Settings", settings)))
}
