//! A row with all its outputs, or with an error and none of them.

use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::failure::Failure;
use super::query::Answer;

/// The field that a failed row has in place of outputs.
const ERROR: &str = "_error";

/// The row with the outputs of its queries, or with what failed if any did. Queries come by name,
/// in their order. An error that came with the row is left out.
pub(super) fn merge(
    row: Arc<Map<String, Value>>,
    queries: Vec<(&str, Result<Answer, Failure>)>,
    template_hash: &str,
) -> Map<String, Value> {
    let mut row = Arc::unwrap_or_clone(row);
    row.shift_remove(ERROR);
    if queries.iter().any(|(_, ended)| ended.is_err()) {
        row.insert(ERROR.to_owned(), error(&queries));
        return row;
    }
    for (prefix, ended) in queries {
        let Ok(answer) = ended else { continue };
        for (suffix, value) in answer.values {
            row.insert(format!("{prefix}_{suffix}"), value);
        }
        row.insert(format!("{prefix}_usage"), json!(answer.usage));
        row.insert(format!("{prefix}_model"), json!(answer.model));
        row.insert(format!("{prefix}_template_hash"), json!(template_hash));
        row.insert(format!("{prefix}_variables_hash"), json!(answer.variables_hash));
    }
    row
}

fn error(queries: &[(&str, Result<Answer, Failure>)]) -> Value {
    let failed: Vec<Value> = queries
        .iter()
        .filter_map(|(name, ended)| {
            ended.as_ref().err().map(|failure| json!({ "query": name, "error": failure }))
        })
        .collect();
    json!({
        "reason": "query_failed",
        "succeeded_count": queries.len() - failed.len(),
        "total_count": queries.len(),
        "failed_queries": failed,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::services::multi_query::failure::Reason;
    use crate::upstream::Usage;

    fn answer() -> Answer {
        Answer {
            values: vec![("score".to_owned(), json!(3))],
            usage: Usage::default(),
            model: "m".to_owned(),
            variables_hash: "v".to_owned(),
        }
    }

    fn row() -> Arc<Map<String, Value>> {
        let Value::Object(row) = json!({ "id": 7, "_error": "old" }) else { unreachable!() };
        Arc::new(row)
    }

    #[test]
    fn all_outputs_or_none() {
        let merged = merge(row(), vec![("a_x", Ok(answer())), ("a_y", Ok(answer()))], "t");
        let usage = json!(Usage::default());
        assert_eq!(
            Value::Object(merged),
            json!({
                "id": 7,
                "a_x_score": 3, "a_x_usage": usage, "a_x_model": "m",
                "a_x_template_hash": "t", "a_x_variables_hash": "v",
                "a_y_score": 3, "a_y_usage": usage, "a_y_model": "m",
                "a_y_template_hash": "t", "a_y_variables_hash": "v",
            })
        );
        let failure = Failure::new(Reason::RateLimited, "slow down");
        let merged = merge(row(), vec![("a_x", Ok(answer())), ("a_y", Err(failure))], "t");
        assert_eq!(
            Value::Object(merged),
            json!({
                "id": 7,
                "_error": {
                    "reason": "query_failed",
                    "succeeded_count": 1,
                    "total_count": 2,
                    "failed_queries": [{
                        "query": "a_y",
                        "error": { "reason": "rate_limited", "message": "slow down" },
                    }],
                },
            })
        );
    }
}
