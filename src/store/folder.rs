//! The run folder: the only writer below `reports/`.

use std::fs;
use std::io::Write;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use crate::error::Error;

/// A folder that holds everything measured in one run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunFolder {
    path: PathBuf,
}

impl RunFolder {
    /// Makes a new folder `NAME` below `reports`, or `NAME-2`, … where that exists. Only its owner
    /// can read it: error examples may hold what the target answered.
    pub fn create(reports: &Path, name: &str) -> Result<RunFolder, Error> {
        fs::create_dir_all(reports)
            .map_err(Error::storage(format!("cannot create {}", reports.display())))?;
        let mut attempt = 1;
        loop {
            let path = match attempt {
                1 => reports.join(name),
                _ => reports.join(format!("{name}-{attempt}")),
            };
            match fs::DirBuilder::new().mode(0o700).create(&path) {
                Ok(()) => return Ok(RunFolder { path }),
                Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => attempt += 1,
                Err(e) => {
                    return Err(Error::storage(format!("cannot create {}", path.display()))(e));
                }
            }
        }
    }

    /// A folder that exists.
    pub fn open(path: impl Into<PathBuf>) -> RunFolder {
        RunFolder { path: path.into() }
    }

    /// Its path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Writes a whole file `name` (which may name a folder below): under its final name there is
    /// either the old file or the new one, never half of it.
    pub fn write(&self, name: &str, contents: &[u8]) -> Result<(), Error> {
        let path = self.path.join(name);
        let what = || format!("cannot write {}", path.display());
        let parent = path.parent().unwrap_or(&self.path);
        fs::create_dir_all(parent).map_err(Error::storage(what()))?;
        let mut file = tempfile::NamedTempFile::new_in(parent).map_err(Error::storage(what()))?;
        file.write_all(contents).map_err(Error::storage(what()))?;
        file.as_file().sync_data().map_err(Error::storage(what()))?;
        file.persist(&path).map_err(|e| Error::storage(what())(e.error))?;
        Ok(())
    }
}
