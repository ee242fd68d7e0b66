//! Code fences, which models like to put around JSON.

/// A text without white space around it and without the code fence around that, if there is one, with
/// or without a language.
pub(super) fn unfenced(text: &str) -> &str {
    let text = text.trim();
    let Some(inside) = text.strip_prefix("```").and_then(|rest| rest.strip_suffix("```")) else {
        return text;
    };
    let inside = match inside.split_once('\n') {
        // What stands on the fence's own line is a language, unless the JSON begins there.
        Some((line, rest)) if !line.contains(['{', '[']) => rest,
        _ => inside.trim_start_matches(char::is_alphanumeric),
    };
    inside.trim()
}
