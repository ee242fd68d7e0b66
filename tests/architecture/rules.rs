//! The rules on sources. Each returns one line for a place that breaks it: `file:line: what, and
//! what would be right`.

use crate::manifest;
use crate::source::Source;

/// Rows of the table that use a row which does not stand above them.
pub fn table_out_of_order(rooms: &[(&str, &str)]) -> Vec<String> {
    let mut broken = Vec::new();
    for (place, (room, may_use)) in rooms.iter().enumerate() {
        for used in words(may_use) {
            let head = used.split("::").next().unwrap_or(used);
            if !rooms[..place].iter().any(|(above, _)| *above == head) {
                broken.push(format!("ROOMS: `{room}` uses `{head}`, which is not above it"));
            }
        }
    }
    broken
}

/// Entries of `src` that are no room of the table.
pub fn unplaced(entries: impl Iterator<Item = String>, rooms: &[(&str, &str)]) -> Vec<String> {
    let is_placed =
        |name: &str| matches!(name, "lib" | "main") || rooms.iter().any(|(room, _)| *room == name);
    entries
        .filter(|entry| !is_placed(entry.strip_suffix(".rs").unwrap_or(entry)))
        .map(|entry| format!("src/{entry}: is in no row of ROOMS in tests/architecture: place it"))
        .collect()
}

/// Uses of a room that the room of `source` may not use.
pub fn backward_arrows(source: &Source, rooms: &[(&str, &str)]) -> Vec<String> {
    let room = source.room();
    let may_use = match room {
        // The root of the library shows all rooms to its users.
        "lib" => return Vec::new(),
        "main" => "error cli commands",
        _ => match rooms.iter().find(|(name, _)| *name == room) {
            Some((_, may_use)) => may_use,
            None => return vec![format!("{}:1: `{room}` is in no row of ROOMS", source.file)],
        },
    };
    let is_allowed = |inner: &[String]| {
        inner[0] == room
            || words(may_use).any(|used| used.split("::").eq(inner.iter().take(parts(used))))
    };
    let mut broken = Vec::new();
    for reference in &source.references {
        let [root, inner @ ..] = reference.path.as_slice() else { continue };
        if root != "crate" || inner.is_empty() || is_allowed(inner) {
            continue;
        }
        broken.push(format!(
            "{}:{}: `{room}` uses `crate::{}`; it may use: {}",
            source.file,
            reference.line,
            inner.join("::"),
            if may_use.is_empty() { "no room" } else { may_use },
        ));
    }
    broken
}

/// Names of crates outside of the rooms that may name them.
pub fn stray_crates(source: &Source, crates: &[(&str, &str)]) -> Vec<String> {
    let mut broken = Vec::new();
    for reference in &source.references {
        let head = &reference.path[0];
        for (names, homes) in crates {
            if words(names).any(|name| name == head) && !words(homes).any(|r| r == source.room()) {
                broken.push(format!(
                    "{}:{}: names `{head}`, which belongs to: {homes}",
                    source.file, reference.line
                ));
            }
        }
    }
    broken
}

/// Writing to the terminal outside of the rooms that may.
pub fn printing(source: &Source, printers: &str) -> Vec<String> {
    const MACROS: [&str; 5] = ["print!", "println!", "eprint!", "eprintln!", "dbg!"];
    if words(printers).any(|room| room == source.room()) {
        return Vec::new();
    }
    let is_stream = |pair: &[String]| {
        pair[0] == "io" && ["stdout", "stderr", "Stdout", "Stderr"].contains(&pair[1].as_str())
    };
    let prints = |path: &[String]| {
        path.last().is_some_and(|name| MACROS.contains(&name.as_str()))
            || path.windows(2).any(is_stream)
    };
    let broken = source.references.iter().filter(|reference| prints(&reference.path));
    broken
        .map(|reference| {
            let name = reference.path.join("::");
            format!(
                "{}:{}: `{name}`: only {printers} may print; hand the text back as a value",
                source.file, reference.line
            )
        })
        .collect()
}

/// Uses of gander's library.
pub fn names_gander(source: &Source) -> Vec<String> {
    let broken = source.references.iter().filter(|reference| reference.path[0] == "gander");
    broken
        .map(|reference| {
            format!("{}:{}: the mock server names `gander`", source.file, reference.line)
        })
        .collect()
}

/// A dependency on gander.
pub fn depends_on_gander(file: &str, text: &str) -> Vec<String> {
    let all = manifest::dependencies(text, 0);
    let broken = all.iter().filter(|dependency| dependency.name == "gander");
    broken.map(|found| format!("{file}:{}: depends on `gander`", found.line)).collect()
}

/// A file with too many lines, and functions with too many.
pub fn too_long(source: &Source, file_lines: usize, function_lines: usize) -> Vec<String> {
    let Source { file, lines, functions, .. } = source;
    let mut broken = Vec::new();
    if *lines > file_lines {
        broken.push(format!("{file}: {lines} lines without tests, more than {file_lines}"));
    }
    for function in functions.iter().filter(|function| function.lines > function_lines) {
        let (name, line, lines) = (&function.name, function.line, function.lines);
        broken
            .push(format!("{file}:{line}: `{name}` has {lines} lines, more than {function_lines}"));
    }
    broken
}

fn words(list: &str) -> impl Iterator<Item = &str> {
    list.split_whitespace()
}

fn parts(path: &str) -> usize {
    path.split("::").count()
}
