//! `compare.json`: what a comparison is of. Its figures are in the folders of its runs.

use std::path::{Component, Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::error::Error;

use super::folder::RunFolder;
use super::record;

/// Name of the file in a comparison's folder.
pub const FILE_NAME: &str = "compare.json";
/// Version of the file's form. A reader refuses later ones and reads all earlier ones.
pub const SCHEMA_VERSION: u32 = 1;

/// A comparison: the runs, and how they are compared.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CompareRecord {
    /// [`SCHEMA_VERSION`] of the writer.
    pub schema_version: u32,
    /// Wall-clock time, with zone.
    pub compared_at: String,
    /// The command line as given.
    pub command_line: Vec<String>,
    /// Folders of the runs before, from the comparison's own folder.
    pub before: Vec<PathBuf>,
    /// Folders of the runs after.
    pub after: Vec<PathBuf>,
    /// Margins that were asked for, as given.
    pub margins: Vec<String>,
    /// Whether the n-th runs of both sides were made together.
    pub paired: bool,
    /// Whether the workloads may differ.
    pub allow_different: bool,
    /// Whether profiles are compared too.
    pub profile: bool,
    /// Frames that had another name before: old and new.
    pub renames: Vec<(String, String)>,
}

/// Whether `folder` is that of a comparison.
pub fn is_comparison(folder: &Path) -> bool {
    folder.join(FILE_NAME).is_file()
}

/// Reads the record of the comparison in `folder`.
///
/// # Errors
///
/// Where it cannot be read, is damaged, or of a later form.
pub fn read(folder: &Path) -> Result<CompareRecord, Error> {
    record::read(&folder.join(FILE_NAME), "a comparison", SCHEMA_VERSION)
}

/// Writes the record, with `summary` for those who read figures from the file.
pub fn write(folder: &RunFolder, record: &CompareRecord, summary: Value) -> Result<(), Error> {
    record::write(folder, FILE_NAME, record, summary)
}

/// `path` as seen from the folder `from`, so that both can be moved together; whole where one of them
/// cannot be found.
pub fn seen_from(from: &Path, path: &Path) -> PathBuf {
    let (Ok(from), Ok(whole)) = (from.canonicalize(), path.canonicalize()) else {
        return path.to_owned();
    };
    let [from, to] = [&from, &whole].map(|path| path.components().collect::<Vec<_>>());
    let shared = from.iter().zip(&to).take_while(|(a, b)| a == b).count();
    let up = std::iter::repeat_n(Component::ParentDir, from.len() - shared);
    up.chain(to[shared..].iter().copied()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_are_told_as_seen_from_the_comparisons_own() {
        let root = tempfile::tempdir().expect("a folder");
        let [own, run] = ["reports/compare", "reports/run"].map(|name| root.path().join(name));
        std::fs::create_dir_all(&own).expect("a folder");
        std::fs::create_dir_all(&run).expect("a folder");
        let seen = seen_from(&own, &run);
        assert_eq!(seen, Path::new("../run"));
        assert!(own.join(seen).is_dir());
        assert_eq!(seen_from(&own, &root.path().join("none")), root.path().join("none"));
    }
}
