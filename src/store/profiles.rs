//! The profiles of a run: `profile/profiles.json` says what there is, `profile/NAME.folded` holds the
//! stacks. They are no view of the journal: samplers have files of their own.

use std::fs;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::profile::{Folded, Missing, ProfileRecord, Profiles};

use super::folder::RunFolder;

/// Where they are in a run folder.
pub const FOLDER: &str = "profile";
const INDEX: &str = "profile/profiles.json";

#[derive(Debug, Serialize, Deserialize)]
struct Index {
    taken: Vec<ProfileRecord>,
    missing: Vec<Missing>,
}

/// Writes all profiles; the index last, for it says that the others are there.
pub fn write(folder: &RunFolder, profiles: &Profiles) -> Result<(), Error> {
    for (record, folded) in &profiles.taken {
        let file = format!("{FOLDER}/{}.folded", record.name);
        folder.write(&file, folded.to_string().as_bytes())?;
    }
    let taken = profiles.taken.iter().map(|(record, _)| record.clone()).collect();
    let index = Index { taken, missing: profiles.missing.clone() };
    let text = serde_json::to_string_pretty(&index)
        .expect("invariant: our own types serialise: string keys, no failing serialisers");
    folder.write(INDEX, format!("{text}\n").as_bytes())
}

/// Reads the profiles of the run in `folder`; none where it was not profiled.
///
/// # Errors
///
/// Where a file is damaged or missing.
pub fn read(folder: &Path) -> Result<Profiles, Error> {
    let path = folder.join(INDEX);
    if !path.is_file() {
        return Ok(Profiles::default());
    }
    let index: Index = serde_json::from_str(&text(&path)?)
        .map_err(|error| Error::BadInput(format!("{} is damaged: {error}", path.display())))?;
    let taken = index.taken.into_iter().map(|record| {
        let path = folder.join(FOLDER).join(format!("{}.folded", record.name));
        let folded = Folded::parse(&text(&path)?)
            .map_err(|error| Error::BadInput(format!("{}: {error}", path.display())))?;
        Ok((record, folded))
    });
    Ok(Profiles { taken: taken.collect::<Result<_, Error>>()?, missing: index.missing })
}

fn text(path: &Path) -> Result<String, Error> {
    fs::read_to_string(path).map_err(Error::storage(format!("cannot read {}", path.display())))
}
