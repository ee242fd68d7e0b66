//! Code fences, which models like to put around JSON.

/// A text without white space and without the code fence around it.
pub(super) fn unfenced(text: &str) -> &str {
    let text = text.trim();
    let Some(inner) = text.strip_prefix("```").and_then(|text| text.strip_suffix("```")) else {
        return text;
    };
    // The rest of the first line names the language.
    inner.split_once('\n').map_or(inner, |(_, inner)| inner).trim()
}
