//! `gander scenario list|show|check|new|schema`, through the functions behind them.

#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests fail by panic")]

mod support;

use gander::commands::scenario;
use gander::error::{Error, Exit};
use gander::scenario::Overlay;
use support::Folder;

/// What a command prints.
fn printed(command: impl FnOnce(&mut dyn std::io::Write) -> Result<Exit, Error>) -> String {
    let mut out = Vec::new();
    assert_eq!(command(&mut out).unwrap_or_else(|error| panic!("{error}")), Exit::Passed);
    String::from_utf8(out).unwrap()
}

#[test]
fn list_names_own_and_built_in_scenarios_and_marks_wrong_ones() {
    let folder = Folder::new();
    folder.write("mine.toml", "summary = \"my own\"\n[[step]]\nname = \"a\"\nget = \"/\"");
    folder.write("wrong.toml", "[[step]]\nnme = \"a\"");
    insta::assert_snapshot!(printed(|out| scenario::list(&folder.place, out)));
}

#[test]
fn show_prints_the_file() {
    let folder = Folder::new();
    let text = std::fs::read_to_string("scenarios/inference-mix.toml").unwrap();
    assert_eq!(printed(|out| scenario::show(&folder.place, "inference-mix", out)), text);
    let error = scenario::show(&folder.place, "nothing", &mut Vec::new()).unwrap_err();
    assert_eq!(error.exit(), Exit::BadInput);
}

#[test]
fn check_says_how_a_scenario_is_understood_and_what_it_sends() {
    let mut folder = Folder::new();
    folder.set("GANDER_KEY", "s3cret-value");
    folder.write(
        "keyed.toml",
        "[headers]\napi-key = { env = \"GANDER_KEY\" }\n[data]\nn = [1, 2]\n\
         [[step]]\nname = \"a\"\npost = \"/{{ n }}\"\nbody = \"two\\nlines\"",
    );
    let names = ["inference-mix".to_owned(), "keyed".to_owned()];
    insta::assert_snapshot!(printed(|out| scenario::check(
        &folder.place,
        &names,
        &Overlay::default(),
        out
    )));
}

#[test]
fn check_shows_where_a_value_of_a_response_will_stand() {
    let folder = Folder::new();
    folder.write(
        "chain.toml",
        "[[step]]\nname = \"score\"\nget = \"/\"\nextract = { label = \"label\" }\n\
         [[step]]\nname = \"use\"\npost = \"/b\"\njson = { a = \"{{ label }}\", \
         b = \"it is {{ label }}\", c = \"{{ label.name }}\" }\n",
    );
    let names = ["chain".to_owned()];
    let said = printed(|out| scenario::check(&folder.place, &names, &Overlay::default(), out));
    let body = "{\"a\":\"<label from score>\",\"b\":\"it is <label from score>\",\
                \"c\":\"<name of label from score>\"}";
    assert!(said.contains(body), "{said}");
}

#[test]
fn check_describes_a_variant_and_what_is_set() {
    let folder = Folder::new();
    folder.write(
        "two.toml",
        "[[step]]\nname = \"a\"\nget = \"/\"\n[variant.slow.step.a]\ntimeout = \"9s\"\n",
    );
    let names = ["two".to_owned()];
    let overlay = Overlay::new(Some("slow".to_owned()), &["step.a.get=/b".to_owned()]).unwrap();
    let said = printed(|out| scenario::check(&folder.place, &names, &overlay, out));
    assert!(said.contains("a: GET /b") && said.contains("timeout 9s"), "{said}");
}

#[test]
fn check_shows_what_the_target_is_asked_about_itself() {
    let folder = Folder::new();
    folder.write(
        "asked.toml",
        "[scrape]\nat = \"/metrics\"\nmetrics = [\"process_*\", \"up\"]\n\
         compare.requests = 'n_total{handler=\"/p\"}'\nevery = \"5s\"\n\
         [sizing]\nrequest = { cpu = \"300m\" }\nlimit = { memory = \"1Ki\" }\ntarget = { cpu = \"70%\" }\n[[step]]\nname = \"a\"\nget = \"/\"\n",
    );
    let names = ["asked".to_owned(), "time-travel".to_owned()];
    let said = printed(|out| scenario::check(&folder.place, &names, &Overlay::default(), out));
    for line in [
        "  scrape   /metrics, process_*, up; requests beside n_total{handler=\"/p\"}; every 5s\n",
        "  sizing   request 0.3 processors; limit 1024 bytes; CPU at 70% of its request\n",
        "  scrape   /api/monitoring/metrics, all series; /api/monitoring/stats, cache_errors, ",
        "/api/monitoring/alerts, alerts; requests beside ",
    ] {
        assert!(said.contains(line), "{line}{said}");
    }
}

#[test]
fn check_reports_every_scenario_that_is_wrong() {
    let folder = Folder::new();
    folder.write("one.toml", "[[step]]\nnme = \"a\"");
    folder.write(
        "two.toml",
        "[[step]]\nname = \"a\"\nget = \"/\"\nheaders = { k = { env = \"GANDER_UNSET\" } }",
    );
    let names = ["one", "inference-batch", "two", "three"].map(str::to_owned);
    let mut out = Vec::new();
    let error = scenario::check(&folder.place, &names, &Overlay::default(), &mut out).unwrap_err();
    assert_eq!(error.exit(), Exit::BadInput);
    let error = error.to_string();
    for part in [
        "one.toml:2:1",
        "did you mean `name`",
        "two.toml:4:25",
        "GANDER_UNSET",
        "no scenario `three`",
    ] {
        assert!(error.contains(part), "{part}: {error}");
    }
    assert!(String::from_utf8(out).unwrap().starts_with("inference-batch: ok"));
}

#[test]
fn new_writes_a_file_that_is_right_and_never_overwrites() {
    let folder = Folder::new();
    let place = &folder.place;
    printed(|out| scenario::new(place, "mine", None, out));
    printed(|out| scenario::check(place, &["mine".to_owned()], &Overlay::default(), out));
    printed(|out| scenario::new(place, "copy", Some("inference-single"), out));
    printed(|out| scenario::check(place, &["copy".to_owned()], &Overlay::default(), out));
    let before = std::fs::read_to_string(folder.path().join("mine.toml")).unwrap();
    let refused = [("mine", Some("inference-mix")), ("../mine", None), ("x", Some("nothing"))];
    for (name, from) in refused {
        let error = scenario::new(place, name, from, &mut Vec::new()).unwrap_err();
        assert_eq!(error.exit(), Exit::BadInput, "{error}");
    }
    assert_eq!(std::fs::read_to_string(folder.path().join("mine.toml")).unwrap(), before);
    assert!(!folder.path().join("x.toml").exists());
}

#[test]
fn schema_is_json_and_describes_every_key() {
    let schema: serde_json::Value = serde_json::from_str(&printed(scenario::schema)).unwrap();
    let mut tables = vec![&schema];
    tables.extend(schema["$defs"].as_object().unwrap().values());
    let mut keys = 0;
    for table in tables {
        let Some(properties) = table["properties"].as_object() else { continue };
        assert_eq!(table["additionalProperties"], false, "{table:#}");
        for (key, property) in properties {
            assert!(property["description"].is_string(), "{key} is not described");
            keys += 1;
        }
    }
    assert!(keys > 40, "{keys}");
}
