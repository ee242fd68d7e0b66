//! Where scenarios and their files are found: in `./scenarios/` first, then in the binary.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use include_dir::{Dir, include_dir};

use super::errors::{Diagnostic, Source, nearest};

static EMBEDDED: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/scenarios");

/// What a scenario is read against: folders and environment variables.
#[derive(Clone)]
pub struct Place {
    /// Folder of the user's own scenarios; a file in it overrides the built-in one of that name.
    pub scenarios: PathBuf,
    /// Environment variables. Their values may be secrets: nothing shows them.
    pub environment: BTreeMap<String, String>,
}

impl Place {
    /// `./scenarios` and the environment of this process (variables that are not UTF-8 are left
    /// out).
    pub fn of_process() -> Place {
        let variables = std::env::vars_os();
        Place {
            scenarios: PathBuf::from("scenarios"),
            environment: variables
                .filter_map(|(name, value)| {
                    Some((name.into_string().ok()?, value.into_string().ok()?))
                })
                .collect(),
        }
    }

    /// Names of all scenarios, the user's own and those in the binary, sorted.
    pub fn names(&self) -> Vec<String> {
        let own = std::fs::read_dir(&self.scenarios).into_iter().flatten().flatten();
        let own = own.map(|entry| entry.path());
        let built_in = EMBEDDED.files().map(|file| file.path().to_path_buf());
        names(own.chain(built_in))
    }

    /// Finds a scenario by name, or reads the file where a path is given (with a `/`, or ending in
    /// `.toml`).
    ///
    /// # Errors
    ///
    /// Where there is none: with the nearest name, and all of them.
    pub fn find(&self, name_or_path: &str) -> Result<Found, Diagnostic> {
        if is_path(name_or_path) {
            let path = Path::new(name_or_path);
            let text = read_text(path).map_err(|why| {
                Diagnostic::general(format!("cannot read scenario `{name_or_path}`: {why}"))
            })?;
            let name = path.file_stem().map_or(name_or_path.into(), |stem| stem.to_string_lossy());
            return Ok(Found {
                name: name.into_owned(),
                source: Arc::new(Source { name: name_or_path.to_owned(), text }),
                folder: path.parent().unwrap_or(Path::new("")).to_path_buf(),
            });
        }
        let file = format!("{name_or_path}.toml");
        match beside(&self.scenarios, &file) {
            Ok(Some(source)) => Ok(Found {
                name: name_or_path.to_owned(),
                source: Arc::new(source),
                folder: self.scenarios.clone(),
            }),
            Ok(None) => Err(unknown("scenario", "scenarios", name_or_path, &self.names())),
            Err(why) => Err(Diagnostic::general(format!("cannot read scenario `{file}`: {why}"))),
        }
    }

    /// Names of all studies, the user's own and those in the binary, sorted.
    pub fn study_names(&self) -> Vec<String> {
        let own = std::fs::read_dir(self.scenarios.join(STUDIES)).into_iter().flatten().flatten();
        let own = own.map(|entry| entry.path());
        let built_in = EMBEDDED.get_dir(STUDIES).into_iter().flat_map(|folder| folder.files());
        names(own.chain(built_in.map(|file| file.path().to_path_buf())))
    }

    /// Finds a study by name, below `studies/`, or reads the file where a path is given.
    ///
    /// # Errors
    ///
    /// Where there is none: with the nearest name, and all of them.
    pub fn find_study(&self, name_or_path: &str) -> Result<Found, Diagnostic> {
        if is_path(name_or_path) {
            return self.find(name_or_path);
        }
        match beside(&self.scenarios, &format!("{STUDIES}/{name_or_path}.toml")) {
            Ok(Some(source)) => Ok(Found {
                name: name_or_path.to_owned(),
                source: Arc::new(source),
                folder: self.scenarios.join(STUDIES),
            }),
            Ok(None) => Err(unknown("study", "studies", name_or_path, &self.study_names())),
            Err(why) => Err(Diagnostic::general(format!("cannot read `{name_or_path}`: {why}"))),
        }
    }
}

/// Where studies lie, in the folder of scenarios.
const STUDIES: &str = "studies";

/// Whether a file is meant, and no name.
fn is_path(name_or_path: &str) -> bool {
    name_or_path.contains(['/', '\\']) || name_or_path.ends_with(".toml")
}

/// The names of files with scenarios or studies, sorted.
fn names(files: impl Iterator<Item = PathBuf>) -> Vec<String> {
    let name = |path: PathBuf| {
        let is_toml = path.extension().is_some_and(|ending| ending == "toml");
        is_toml.then(|| path.file_stem()?.to_str().map(str::to_owned)).flatten()
    };
    files.filter_map(name).collect::<BTreeSet<_>>().into_iter().collect()
}

fn unknown(what: &str, several: &str, name: &str, names: &[String]) -> Diagnostic {
    let near = nearest(name, names.iter().map(String::as_str));
    let near = near.map_or(String::new(), |near| format!("; did you mean `{near}`?"));
    Diagnostic::general(format!("there is no {what} `{name}`{near}"))
        .help(format!("{several}: {}; a file is given by its path: ./my.toml", names.join(", ")))
}

/// A scenario file.
#[derive(Debug, Clone)]
pub struct Found {
    /// Name of the scenario.
    pub name: String,
    /// Its text.
    pub source: Arc<Source>,
    /// Folder from which its data files are found.
    pub folder: PathBuf,
}

impl Found {
    /// The text of a file that the scenario names, from its own folder or else from the binary (so
    /// that a copy of a built-in scenario still finds its data).
    ///
    /// # Errors
    ///
    /// Says why the file cannot be read.
    pub(super) fn text(&self, file: &str) -> Result<Source, String> {
        beside(&self.folder, file)?.ok_or_else(|| format!("there is no file {}", self.path(file)))
    }

    /// As [`Found::text`], for a file that need not be text.
    pub(super) fn bytes(&self, file: &str) -> Result<Vec<u8>, String> {
        match std::fs::read(self.folder.join(file)) {
            Ok(bytes) => Ok(bytes),
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error.to_string()),
            Err(_) => EMBEDDED
                .get_file(file)
                .map(|found| found.contents().to_vec())
                .ok_or_else(|| format!("there is no file {}", self.path(file))),
        }
    }

    fn path(&self, file: &str) -> String {
        self.folder.join(file).display().to_string()
    }
}

/// A file in a folder, or else in the binary.
fn beside(folder: &Path, file: &str) -> Result<Option<Source>, String> {
    let path = folder.join(file);
    if path.exists() {
        let text = read_text(&path)?;
        return Ok(Some(Source { name: path.display().to_string(), text }));
    }
    let embedded = EMBEDDED.get_file(file).and_then(|file| file.contents_utf8());
    Ok(embedded.map(|text| Source { name: format!("{file} (built in)"), text: text.to_owned() }))
}

fn read_text(path: &Path) -> Result<String, String> {
    let bytes = std::fs::read(path).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => "there is no such file".to_owned(),
        _ => error.to_string(),
    })?;
    String::from_utf8(bytes).map_err(|error| {
        let before = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
        format!("{}:{line}: not UTF-8; save the file as UTF-8", path.display())
    })
}
