//! What the scenario language costs a request: a chat completion with seven holes, as
//! `multi-query-direct` sends it, beside one of the same size that never changes.
//!
//! ```sh
//! cargo bench --bench language
//! ```
//!
//! The goal: at most 10 µs more. A request of a fan-out has names of its own on top, which are made
//! for all of its requests at once.

#![allow(clippy::panic, missing_docs, reason = "a bench that cannot go on ends")]

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use gander::scenario::{Place, Scenario};

const HOLES: &str = r#"
[data]
row = [ { id = "row-17", patient = "p-0042", note = "Fever for three days, dry cough, no rash." } ]
case = [ { name = "cs1", text = "A child of six with a barking cough at night." } ]
criterion = [ { name = "diagnosis", question = "Which diagnosis is named first?" } ]
[[step]]
name = "query"
for_each = ["case", "criterion"]
post = "/openai/deployments/gpt-4o/chat/completions?api-version=2024-10-21"
[step.json]
model = "gpt-4o"
temperature = 0
response_format = { type = "json_object" }
messages = [
    { role = "system", content = "You are a careful reviewer. Answer in JSON, for {{ criterion.name }} only." },
    { role = "user", content = "{{ row.id }} ({{ row.patient }}): {{ row.note }}\n\nCase study {{ case.name }}: {{ case.text }}\n\n{{ criterion.question }}" },
]
"#;

fn load(text: &str) -> Scenario {
    let folder = tempfile::tempdir().expect("a temporary folder");
    std::fs::write(folder.path().join("chat.toml"), text).expect("a scenario file");
    let place = Place { scenarios: folder.path().to_path_buf(), environment: Default::default() };
    Scenario::load_from("chat", &place).unwrap_or_else(|error| panic!("{error}"))
}

/// The same scenario with what its holes make of it.
fn filled(text: &str) -> String {
    let values = [
        ("row.id", "row-17"),
        ("row.patient", "p-0042"),
        ("row.note", "Fever for three days, dry cough, no rash."),
        ("case.name", "cs1"),
        ("case.text", "A child of six with a barking cough at night."),
        ("criterion.name", "diagnosis"),
        ("criterion.question", "Which diagnosis is named first?"),
    ];
    let fill = |text: String, (name, value): (&str, &str)| {
        text.replace(&format!("{{{{ {name} }}}}"), value)
    };
    values.into_iter().fold(text.to_owned(), fill)
}

fn language(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("request");
    for (name, scenario) in [("constant", load(&filled(HOLES))), ("holes", load(HOLES))] {
        let step = &scenario.steps[0];
        assert_eq!(step.template.is_constant(), name == "constant");
        let inputs = scenario.data.feeder(1).iteration(0, 0, 0);
        let fan_out = step.fan_out.as_ref().expect("a fan-out");
        let inputs = inputs.fan(fan_out).expect("lists").remove(0);
        group.bench_function(name, |bench| {
            bench.iter(|| step.template.render(black_box(&inputs)).expect("a request"));
        });
    }
    let scenario = load(HOLES);
    let feeder = scenario.data.feeder(1);
    let fan_out = scenario.steps[0].fan_out.as_ref().expect("a fan-out");
    let mut iteration = 0;
    group.bench_function("inputs of one iteration", |bench| {
        bench.iter(|| {
            iteration += 1;
            feeder.iteration(0, 0, iteration).fan(black_box(fan_out)).expect("lists")
        });
    });
    group.finish();
}

criterion_group!(benches, language);
criterion_main!(benches);
