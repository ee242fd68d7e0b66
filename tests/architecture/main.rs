//! The rooms of gander and the directions between them, as `ARCHITECTURE.md` draws them: each rule
//! is a function from what was read to the places that break it.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod bites;
mod manifest;
mod rules;
mod source;

use std::fs;
use std::path::{Path, PathBuf};

use source::Source;

/// Each room and the rooms it may use, in order: a room uses rooms above it only, so that there is
/// no circle. `measure::sample` permits that part of a room alone.
const ROOMS: &[(&str, &str)] = &[
    ("error", ""),
    ("stats", ""),
    ("schedule", "error"),
    ("measure", "error stats"),
    ("clock", "measure::sample"),
    ("profile", "error stats measure"),
    (
        "scenario",
        "error schedule measure::sample measure::metric measure::numbers measure::selector",
    ),
    ("http", "error clock measure"),
    ("plan", "error schedule scenario measure profile http::HttpOptions http::HttpVersion"),
    ("store", "error clock schedule scenario measure profile plan"),
    ("observe", "error clock measure plan store scenario::json_path scenario::errors"),
    ("target", "error clock scenario plan observe"),
    ("sampler", "error clock measure profile plan store observe target"),
    ("analysis", "error stats schedule scenario measure profile plan store"),
    ("report", "error stats schedule scenario measure profile plan store analysis"),
    ("export", "error clock measure plan store analysis"),
    ("dashboard", "error clock measure"),
    ("flow", "error clock schedule scenario measure http plan"),
    ("engine", "error clock schedule scenario measure http plan flow"),
    (
        "study",
        "error clock stats schedule scenario measure http profile plan store observe sampler target \
         analysis report export flow engine",
    ),
    (
        "commands",
        "error clock stats schedule scenario measure http profile plan store observe sampler target \
         analysis report export dashboard flow engine study",
    ),
    (
        "cli",
        "error schedule scenario measure http profile plan store analysis report study commands",
    ),
];

/// Crates that only some rooms may name. `lib` and `main` stand for `src/lib.rs` and `src/main.rs`.
const CRATES: &[(&str, &str)] = &[
    ("clap", "cli main"),
    ("goose", "engine"),
    ("h2 hyper hyper_util http_body_util", "http"),
    // What has no runtime can be tested without one.
    (
        "tokio tokio_util",
        "clock http store observe sampler target export dashboard flow engine study commands main",
    ),
    // Draws on the terminal by itself.
    ("indicatif", "commands"),
];

/// Rooms that may print: the library hands values back.
const PRINTERS: &str = "commands main";

/// Lines of a file, tests not counted. A file that wants more has two subjects.
const FILE_LINES: usize = 450;

/// Lines of a function.
const FUNCTION_LINES: usize = 80;

/// Consecutive dependencies that one comment may speak for.
const COMMENT_REACH: usize = 4;

#[test]
fn rooms_use_only_rooms_above_them() {
    assert_none(rules::table_out_of_order(ROOMS));
}

#[test]
fn every_room_is_placed() {
    let entries = fs::read_dir(root().join("src")).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    assert_none(rules::unplaced(names, ROOMS));
}

#[test]
fn no_arrow_runs_back() {
    let rule = |source: &Source| rules::backward_arrows(source, ROOMS);
    assert_none(sources("src").iter().flat_map(rule));
}

#[test]
fn crates_stay_in_their_rooms() {
    let rule = |source: &Source| rules::stray_crates(source, CRATES);
    assert_none(sources("src").iter().flat_map(rule));
}

#[test]
fn only_commands_print() {
    let rule = |source: &Source| rules::printing(source, PRINTERS);
    assert_none(sources("src").iter().flat_map(rule));
}

#[test]
fn mock_server_knows_nothing_of_gander() {
    assert_none(sources("mock-server/src").iter().flat_map(rules::names_gander));
    assert_none(rules::depends_on_gander(
        "mock-server/Cargo.toml",
        &read("mock-server/Cargo.toml"),
    ));
}

#[test]
fn files_and_functions_can_be_held_in_mind() {
    let all = [sources("src"), sources("mock-server/src")].concat();
    let rule = |source: &Source| rules::too_long(source, FILE_LINES, FUNCTION_LINES);
    assert_none(all.iter().flat_map(rule));
}

#[test]
fn every_dependency_says_what_it_is_for() {
    let (root, member) = (read("Cargo.toml"), read("mock-server/Cargo.toml"));
    let manifests = [("Cargo.toml", root.as_str()), ("mock-server/Cargo.toml", member.as_str())];
    assert_none(manifest::unexplained(&manifests, COMMENT_REACH));
}

/// Fails with one line for each place that breaks a rule.
#[track_caller]
fn assert_none(broken: impl IntoIterator<Item = String>) {
    let broken: Vec<String> = broken.into_iter().collect();
    assert!(broken.is_empty(), "\n{}\n", broken.join("\n"));
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn read(file: &str) -> String {
    fs::read_to_string(root().join(file)).unwrap()
}

/// All sources below `folder`, in order of their names, files of test modules left out.
fn sources(folder: &str) -> Vec<Source> {
    let mut files = Vec::new();
    collect(&root().join(folder), &mut files);
    files.sort();
    assert!(!files.is_empty(), "{folder} holds no source");
    let name = |path: &Path| path.strip_prefix(root()).unwrap().to_str().unwrap().to_owned();
    let all = files.iter().map(|path| {
        let file = name(path);
        let text = fs::read_to_string(path).unwrap();
        Source::read(&file, &text).unwrap_or_else(|error| panic!("{error}"))
    });
    source::without_test_files(all.collect())
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            files.push(path);
        }
    }
}
