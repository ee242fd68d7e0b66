//! Records of what is made of several runs: a JSON file with a version, beside which the folders of
//! the runs lie.

use std::path::Path;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::error::Error;

use super::folder::RunFolder;

/// Reads the record at `path`, which is that of `what` (`a sweep`), in a form up to `newest`.
///
/// # Errors
///
/// Where it cannot be read, is damaged, or of a later form.
pub(super) fn read<T: DeserializeOwned>(path: &Path, what: &str, newest: u32) -> Result<T, Error> {
    let bad = |why: String| Error::BadInput(format!("{} {why}", path.display()));
    let text =
        std::fs::read(path).map_err(Error::storage(format!("cannot read {}", path.display())))?;
    let value: Value = serde_json::from_slice(&text)
        .map_err(|error| bad(format!("is damaged: {error}; it is written by gander alone")))?;
    let version = value["schema_version"].as_u64().unwrap_or(0);
    if version > u64::from(newest) {
        return Err(bad(format!(
            "is of form {version}, and this gander reads forms up to {newest}: use a later one"
        )));
    }
    serde_json::from_value(value)
        .map_err(|error| bad(format!("is not the record of {what}: {error}")))
}

/// Writes a record, with `summary` for those who read figures from the file.
pub(super) fn write(
    folder: &RunFolder,
    name: &str,
    record: &impl Serialize,
    summary: Value,
) -> Result<(), Error> {
    let mut value = serde_json::to_value(record)
        .expect("invariant: our own types serialise: string keys, no failing serialisers");
    value["summary"] = summary;
    folder.write(name, format!("{value:#}\n").as_bytes())
}
