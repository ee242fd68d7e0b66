//! The queries of a row: each case study with each criterion.

use serde_json::{Map, Value, json};

use super::settings::{CaseStudy, Criterion, MultiQuery};
use super::template;

/// Suffixes of the outputs that every query has.
pub(super) const RESERVED: [&str; 4] = ["usage", "model", "template_hash", "variables_hash"];

/// One query, as it is asked about every row.
#[derive(Debug)]
pub(super) struct Query {
    /// `{case study}_{criterion}`: its name, and the first part of its outputs' names.
    pub prefix: String,
    /// Fields of the row, in the order of `row.input_1`, `row.input_2`, …
    pub inputs: Vec<String>,
    pub max_tokens: Option<u32>,
    /// For the template.
    pub case_study: minijinja::Value,
    /// For the template.
    pub criterion: minijinja::Value,
    /// All that the template sees but the row: the beginning of a canonical JSON object.
    pub variables: String,
}

/// The queries of a row: criteria within case studies, both in the order in which they are set.
pub(super) fn expand(settings: &MultiQuery) -> Vec<Query> {
    let lookup = canonical(Value::Object(settings.lookup.clone()));
    pairs(settings)
        .map(|(case, criterion)| {
            let case_study = json!({
                "name": case.name,
                "context": case.context,
                "description": case.description,
            });
            let asked = json!({
                "name": criterion.name,
                "code": criterion.code,
                "description": criterion.description,
                "subcriteria": criterion.subcriteria,
            });
            Query {
                prefix: prefix(case, criterion),
                inputs: case.input_fields.clone(),
                max_tokens: criterion.max_tokens.or(settings.max_tokens),
                case_study: template::value(&case_study),
                criterion: template::value(&asked),
                variables: format!(
                    r#"{{"case_study":{},"criterion":{},"lookup":{lookup},"row":"#,
                    canonical(case_study),
                    canonical(asked)
                ),
            }
        })
        .collect()
}

/// The names of all outputs of a row.
pub(super) fn columns(settings: &MultiQuery) -> impl Iterator<Item = String> {
    pairs(settings).flat_map(|(case, criterion)| {
        let prefix = prefix(case, criterion);
        let mapped = settings.output_mapping.values().map(|field| field.suffix.as_str());
        let all = mapped.chain(RESERVED).map(|suffix| format!("{prefix}_{suffix}"));
        all.collect::<Vec<_>>()
    })
}

/// JSON without spaces and with sorted keys, so that equal values are equal texts.
pub(super) fn canonical(mut value: Value) -> String {
    value.sort_all_objects();
    value.to_string()
}

/// What a query's template sees of a row: its fields, and the inputs by their numbers.
///
/// # Errors
/// The name of a field that is missing.
pub(super) fn view(query: &Query, row: &Map<String, Value>) -> Result<Map<String, Value>, String> {
    let mut view = row.clone();
    for (number, field) in (1..).zip(&query.inputs) {
        let value = row.get(field).ok_or_else(|| field.clone())?;
        view.insert(format!("input_{number}"), value.clone());
    }
    Ok(view)
}

fn pairs(settings: &MultiQuery) -> impl Iterator<Item = (&CaseStudy, &Criterion)> {
    let criteria = &settings.criteria;
    settings.case_studies.iter().flat_map(move |case| criteria.iter().map(move |c| (case, c)))
}

fn prefix(case: &CaseStudy, criterion: &Criterion) -> String {
    format!("{}_{}", case.name, criterion.name)
}
