//! The files that docs/ci.md offers: that they are what their readers take, and that every command line
//! in them is one.

use std::path::Path;

use clap::Parser as _;
use gander::cli::Cli;
use serde_json::Value;

fn read(file: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(file)).unwrap()
}

fn yaml(file: &str) -> Value {
    serde_saphyr::from_str(&read(file)).unwrap_or_else(|e| panic!("{file}: {e}"))
}

/// Shell texts of a YAML file: all strings in it.
fn strings(value: &Value) -> Vec<&str> {
    match value {
        Value::String(text) => vec![text],
        Value::Array(all) => all.iter().flat_map(strings).collect(),
        Value::Object(all) => all.values().flat_map(strings).collect(),
        _ => Vec::new(),
    }
}

/// Shell texts of a Markdown page: its blocks of code.
fn blocks(page: &str) -> Vec<String> {
    let parts = page.split("\n```").skip(1).step_by(2);
    parts.filter_map(|block| Some(block.split_once('\n')?.1.to_owned() + "\n")).collect()
}

/// Lines of `shell` that begin with `gander`, as words up to what the shell takes for itself.
fn commands(shell: &str) -> Vec<Vec<String>> {
    let whole = shell.replace("\\\n", " ");
    let lines = whole.lines().map(str::trim).filter(|line| line.starts_with("gander "));
    let words = lines.map(|line| {
        let words = shell_words::split(line).unwrap_or_else(|e| panic!("{line}: {e}"));
        let is_shell = |word: &String| {
            ["|", "||", "&&", ";"].contains(&word.as_str()) || word.starts_with('>')
        };
        words.into_iter().take_while(|word| !is_shell(word)).collect()
    });
    words.collect()
}

#[track_caller]
fn all_parse(file: &str, commands: &[Vec<String>]) {
    for words in commands {
        if let Err(error) = Cli::try_parse_from(words) {
            panic!("{file}: {}: {error}", words.join(" "));
        }
    }
}

#[test]
fn command_lines_of_the_documentation_are_taken() {
    for file in ["docs/ci.md", "README.md"] {
        let found: Vec<Vec<String>> =
            blocks(&read(file)).iter().flat_map(|it| commands(it)).collect();
        let found: Vec<_> = found.into_iter().filter(|words| words[1] == "gate").collect();
        assert!(!found.is_empty(), "{file} shows no gate");
        all_parse(file, &found);
    }
}

#[test]
fn command_lines_of_the_workflows_are_taken() {
    for (file, least) in [("docs/ci/github.yml", 0), ("docs/ci/gitlab.yml", 1), ("action.yml", 1)] {
        let value = yaml(file);
        let found: Vec<_> = strings(&value).into_iter().flat_map(commands).collect();
        let gates = found.iter().filter(|words| words[1] == "gate").count();
        assert!(gates >= least, "{file} makes no gate");
        all_parse(file, &found);
    }
}

#[test]
fn the_action_has_what_the_workflow_uses() {
    let (action, workflow) = (yaml("action.yml"), yaml("docs/ci/github.yml"));
    assert_eq!(action["runs"]["using"], "composite");
    let steps = workflow["jobs"]["gate"]["steps"].as_array().unwrap();
    let used = steps.iter().find(|step| step["id"] == "gate").unwrap();
    let given = used["with"].as_object().unwrap();
    for input in given.keys() {
        assert!(action["inputs"].get(input).is_some(), "the action has no input {input}");
    }
    for (input, about) in action["inputs"].as_object().unwrap() {
        let is_given = about["required"] != true || given.contains_key(input);
        assert!(is_given, "the workflow leaves {input} out");
    }
    let text = read("docs/ci/github.yml");
    let wanted = text.split("steps.gate.outputs.").skip(1);
    for output in wanted.map(|rest| rest.split(|c: char| !c.is_alphanumeric()).next().unwrap()) {
        assert!(action["outputs"].get(output).is_some(), "the action has no output {output}");
    }
    let inner = action["runs"]["steps"].as_array().unwrap();
    for step in inner {
        assert_eq!(step["shell"], "bash", "a step of a composite action names its shell");
        // An expression in a script is replaced before the shell reads it: whoever names a branch
        // would write the script.
        assert!(!step["run"].as_str().unwrap().contains("${{"), "{step}");
    }
    for step in steps.iter().filter_map(|step| step["run"].as_str()) {
        assert!(!step.contains("${{"), "{step}");
    }
}

#[test]
fn the_merge_request_keeps_the_cases() {
    let pipeline = yaml("docs/ci/gitlab.yml");
    let job = &pipeline["gander-gate"];
    assert_eq!(job["artifacts"]["when"], "always");
    assert!(job["artifacts"]["reports"]["junit"].as_str().unwrap().ends_with("junit.xml"));
    // Not clear is no failure of the change: it is shown, and lets it be merged by hand.
    assert_eq!(job["allow_failure"]["exit_codes"], 4);
}
