//! What makes two workloads the same.

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::data::{DataSet, DataSource};
use super::json as value_json;
use super::model::{Step, Transaction, User};
use super::template::{Body, Engine, HeaderText, Piece, Text};

/// Hex SHA-256 of everything that decides what is sent and what counts as success: users, weights,
/// think times, steps, expectations, and the rows themselves. Not in it: name, summary, rules, the
/// load (which a run records apart), and the service (before and after do the same work).
pub(super) fn digest(users: &[User], steps: &[Step], data: &DataSet) -> String {
    let mut workload = json!({
        "users": users.iter().map(|user| user_form(user, steps)).collect::<Value>(),
        "steps": steps.iter().map(step_form).collect::<Value>(),
        "data": data.sources().iter().map(source_form).collect::<Value>(),
    });
    if let Some(rows) = data.row_source {
        let name = &data.sources()[rows.index].name;
        workload["rows"] = match rows.batch {
            None => json!(name),
            Some(batch) => json!({ "from": name, "batch": batch }),
        };
    }
    sha256(workload.to_string().as_bytes())
}

/// The digest of workloads that run at once, each with its weight.
pub(super) fn of_all<'a>(parts: impl Iterator<Item = (&'a str, u32)>) -> String {
    let parts = parts.map(|(digest, weight)| json!({ "digest": digest, "weight": weight }));
    sha256(parts.collect::<Value>().to_string().as_bytes())
}

fn user_form(user: &User, steps: &[Step]) -> Value {
    let name = |id: &crate::measure::sample::StepId| steps[usize::from(id.0)].name.as_str();
    let transaction = |transaction: &Transaction| {
        let steps: Vec<&str> = transaction.steps.iter().map(name).collect();
        json!({ "weight": transaction.weight, "steps": steps })
    };
    json!({
        "weight": user.weight,
        "think_ms": [user.think.min.as_secs_f64() * 1e3, user.think.max.as_secs_f64() * 1e3],
        "transactions": user.transactions.iter().map(transaction).collect::<Value>(),
    })
}

fn step_form(step: &Step) -> Value {
    let parts = step.template.parts();
    let headers: Value = parts
        .headers
        .iter()
        .map(|(name, _, text)| match text {
            HeaderText::Text(text) => json!([name.as_str(), text_form(&parts.engine, text)]),
            HeaderText::Environment { variable, prefix, .. } => {
                json!([name.as_str(), { "env": variable, "prefix": prefix }])
            }
        })
        .collect();
    let body = match &parts.body {
        Body::Constant(bytes) => json!(sha256(bytes)),
        Body::Text(text) => text_form(&parts.engine, text),
        Body::Json(pieces) => pieces
            .iter()
            .map(|piece| match piece {
                Piece::Literal(text) => json!(text),
                Piece::Native(id) => json!({ "native": parts.engine.source(id) }),
                Piece::Quoted(id) => json!({ "quoted": parts.engine.source(id) }),
            })
            .collect(),
    };
    let mut form = json!({
        "name": step.name,
        "method": step.method.as_str(),
        "path": text_form(&parts.engine, &parts.path),
        "headers": headers,
        "body": body,
        "timeout_ms": step.timeout.as_secs_f64() * 1e3,
        "expect": step.expect,
    });
    // What a step does not have leaves no trace: a key that the language gains changes the digest
    // of no scenario without it.
    let after: Vec<u16> = step.after.iter().map(|id| id.0).collect();
    let more = [
        ("fan_out", json!(step.fan_out)),
        ("after", json!(after)),
        ("extract", json!(step.extract)),
        ("stream", json!(step.stream)),
        ("usage", json!(step.usage)),
        ("retry", json!(step.retry)),
        ("rows", json!(step.rows)),
        ("goodput", json!(step.goodput)),
    ];
    for (key, value) in more {
        if !value.is_null() && value != json!([]) {
            form[key] = value;
        }
    }
    form
}

fn text_form(engine: &Engine, text: &Text) -> Value {
    match text {
        Text::Literal(text) => json!(text),
        Text::Template(id) => json!({ "template": engine.source(id) }),
    }
}

fn source_form(source: &DataSource) -> Value {
    let mut rows = String::new();
    for row in source.rows.iter() {
        // Rows come from CSV or JSON, which JSON can say.
        let _ = value_json::write(&mut rows, row);
        rows.push('\n');
    }
    json!({ "name": source.name, "order": source.order, "rows": sha256(rows.as_bytes()) })
}

fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}
