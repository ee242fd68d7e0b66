//! A folder of scenarios for one test.

#![allow(dead_code, reason = "each test file uses a part of it")]

use gander::scenario::answer::Answer;
use gander::scenario::expect::{Expect, Unexpected};
use gander::scenario::{Place, Scenario, ScenarioError};
use http::HeaderMap;

/// A folder that is gone after the test, and an environment that is empty at first.
pub struct Folder {
    folder: tempfile::TempDir,
    pub place: Place,
}

impl Folder {
    pub fn new() -> Folder {
        let folder = tempfile::tempdir().unwrap();
        let scenarios = folder.path().to_path_buf();
        Folder { folder, place: Place { scenarios, environment: Default::default() } }
    }

    pub fn set(&mut self, variable: &str, value: &str) {
        self.place.environment.insert(variable.to_owned(), value.to_owned());
    }

    pub fn path(&self) -> &std::path::Path {
        self.folder.path()
    }

    pub fn write(&self, name: &str, text: &str) {
        std::fs::write(self.folder.path().join(name), text).unwrap();
    }

    pub fn load(&self, name: &str) -> Result<Scenario, ScenarioError> {
        Scenario::load_from(name, &self.place)
    }

    /// A text in which the folder, which has another name each time, is called `FOLDER`.
    pub fn without_path(&self, text: &str) -> String {
        text.replace(&self.folder.path().display().to_string(), "FOLDER")
    }
}

/// The scenario in a text.
pub fn scenario(text: &str) -> Scenario {
    let folder = Folder::new();
    folder.write("test.toml", text);
    match folder.load("test") {
        Ok(scenario) => scenario,
        Err(error) => panic!("{error}"),
    }
}

/// What is said of a response without a stream, in an iteration without data.
pub fn judged(
    expect: &Expect,
    status: u16,
    headers: &HeaderMap,
    body: &[u8],
) -> Result<(), Unexpected> {
    let inputs = scenario("[[step]]\nname = \"a\"\nget = \"/\"").data.feeder(0).iteration(0, 0, 0);
    expect.check(&Answer::new(status, headers, body, None), &inputs)
}
