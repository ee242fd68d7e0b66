//! Dependencies as `Cargo.toml` writes them: line by line, since a parsed manifest has no comments.

/// A dependency line.
#[derive(Debug)]
pub struct Dependency<'a> {
    pub line: usize,
    pub name: &'a str,
    /// A comment above speaks for it.
    pub explained: bool,
    /// Taken from `[workspace.dependencies]`.
    pub inherited: bool,
    /// Stands in `[workspace.dependencies]`.
    pub shared: bool,
}

/// All dependency lines. A comment speaks for the `reach` lines that follow it without a gap.
pub fn dependencies(text: &str, reach: usize) -> Vec<Dependency<'_>> {
    let mut found = Vec::new();
    let mut section = "";
    let mut explained = 0;
    for (line, text) in (1..).zip(text.lines()) {
        if let Some(header) = text.strip_prefix('[') {
            section = header.trim_end_matches(']');
            explained = 0;
        } else if text.starts_with('#') {
            explained = reach;
        } else if text.is_empty() {
            explained = 0;
        } else if let Some(name) = key(text).filter(|_| section.ends_with("dependencies")) {
            found.push(Dependency {
                line,
                name,
                explained: explained > 0,
                inherited: text.replace(' ', "").contains("workspace=true"),
                shared: section == "workspace.dependencies",
            });
            explained = explained.saturating_sub(1);
        }
    }
    found
}

/// The name that a line begins with; none for lines that go on with a list.
fn key(line: &str) -> Option<&str> {
    let name = line.split(['.', ' ', '=']).next()?.trim_matches('"');
    name.starts_with(|first: char| first.is_ascii_alphabetic()).then_some(name)
}

/// Dependencies that do not say what they are for: neither here nor, where they are inherited, in
/// the workspace's manifest, which comes first.
pub fn unexplained(manifests: &[(&str, &str)], reach: usize) -> Vec<String> {
    let shared = manifests.first().map_or("", |(_, text)| text);
    let shared = dependencies(shared, reach);
    let inherits =
        |name: &str| shared.iter().any(|one| one.shared && one.name == name && one.explained);
    let mut broken = Vec::new();
    for (file, text) in manifests {
        for Dependency { line, name, explained, inherited, .. } in dependencies(text, reach) {
            if !(explained || inherited && inherits(name)) {
                broken.push(format!(
                    "{file}:{line}: `{name}` does not say what it is for: write a comment above it"
                ));
            }
        }
        let tables = (1..)
            .zip(text.lines())
            .filter(|(_, text)| text.starts_with('[') && text.contains("dependencies."));
        broken.extend(tables.map(|(line, text)| {
            format!("{file}:{line}: {text}: write a dependency in one line, below its comment")
        }));
    }
    broken
}
