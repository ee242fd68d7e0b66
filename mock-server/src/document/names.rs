//! Names that are nearly right, and lists of right ones.

/// The candidate that a misspelt name most likely meant, if one is near enough: at most a third of
/// its letters differ (Damerau-Levenshtein), or one is the beginning of the other.
pub fn nearest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let name = name.to_lowercase();
    candidates
        .into_iter()
        .map(|candidate| {
            let right = candidate.to_lowercase();
            let distance = strsim::damerau_levenshtein(&name, &right);
            let begins =
                name.len() >= 3 && (right.starts_with(&name) || name.starts_with(right.as_str()));
            (candidate, distance, begins)
        })
        .filter(|(candidate, distance, begins)| {
            *begins || *distance <= candidate.chars().count().max(name.chars().count()).div_ceil(3)
        })
        .min_by_key(|(_, distance, _)| *distance)
        .map(|(candidate, _, _)| candidate)
}

/// "did you mean `near`?", or else the whole list.
pub fn suggestion<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> String {
    let candidates: Vec<&str> = candidates.into_iter().collect();
    match nearest(name, candidates.iter().copied()) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("expected {}", one_of(candidates)),
    }
}

/// "`a`, `b` or `c`".
pub fn one_of<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    let quoted: Vec<String> = names.into_iter().map(|name| format!("`{name}`")).collect();
    match quoted.split_last() {
        None => "nothing".to_owned(),
        Some((only, [])) => only.clone(),
        Some((last, rest)) => format!("{} or {last}", rest.join(", ")),
    }
}
