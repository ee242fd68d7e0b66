//! Every mistake in a scenario is shown at its place, with what was expected and the nearest right
//! name. The messages are golden: `tests/snapshots/`, made anew by `INSTA_UPDATE=always cargo test`.

#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests fail by panic")]

mod support;

use gander::scenario::Overlay;
use support::Folder;

/// The errors of a scenario that is wrong, beside a data file that is right.
fn wrong(scenario: &str) -> String {
    let reviews = "id,text\n1,good\n2,\"bad, really\"\n";
    let rows = "{\"a\":1,\"b\":1}\n{\"a\":2}\n";
    wrong_with(scenario, &[("reviews.csv", reviews), ("rows.jsonl", rows)])
}

fn wrong_with(scenario: &str, files: &[(&str, &str)]) -> String {
    let folder = Folder::new();
    folder.write("wrong.toml", scenario);
    for (name, text) in files {
        folder.write(name, text);
    }
    let error = folder.load("wrong").expect_err("the scenario is wrong");
    folder.without_path(&error.to_string())
}

macro_rules! golden {
    ($($name:ident: $scenario:expr;)*) => {
        $(
            #[test]
            fn $name() {
                insta::assert_snapshot!(stringify!($name), wrong($scenario));
            }
        )*
    };
}

golden! {
    settings_of_the_service_behind: r#"
service = { name = "multi-query", pool_sze = 4, llm = { latncy = "50ms", replies = { wrds = 3 } } }
[[step]]
name = "a"
get = "/"
"#;

    a_service_behind_one_that_calls_none: r#"
service = { name = "inference", llm = { latency = "50ms" } }
[[step]]
name = "a"
get = "/"
"#;

    scraping_that_cannot_be: r#"
[scrape]
at = "metrics"
metrics = ["process_*", "a{b}"]
compare = { requests = "http_requests_total{handler=/predict}" }
[[step]]
name = "a"
get = "/"
"#;

    scraping_without_its_place: r#"
[scrape]
metrics = []
compare = { response_time = "a b" }
[[step]]
name = "a"
get = "/"
"#;

    scraping_pages_that_cannot_be: r#"
[scrape]
every = "10ms"
[[scrape.json]]
at = "stats"
counters = { hits = "cache..hits" }
values = { "a b" = "x", hits = "y", alerts = { labels = ["severity"] } }
[[scrape.json]]
values = {}
[scrape.compare]
requests = "hist"
[[step]]
name = "a"
get = "/"
"#;

    sizes_that_cannot_be: r#"
[sizing]
request = { cpu = "300M", memory = "1Gi" }
limit = { memory = "512MB" }
replicas = 0
target = { cpu = "70", memory = "0%" }
[[step]]
name = "a"
get = "/"
"#;

    sizes_that_contradict_each_other: r#"
[sizing]
request = { memory = "1Gi" }
limit = { memory = "512Mi" }
target = { cpu = "70%" }
[[step]]
name = "a"
get = "/"
"#;

    sizing_without_an_amount: r#"
[sizing]
replicas = 2
[[step]]
name = "a"
get = "/"
"#;

    scraping_with_an_unknown_key: r#"
[scrape]
at = "/metrics"
compare = { reqests = "a" }
[[step]]
name = "a"
get = "/"
"#;

    batches_that_are_none: r#"
rows = { from = "ro", batch = 0 }
[data]
row = ["a"]
[[step]]
name = "a"
get = "/"
"#;

    batches_without_their_parts: r#"
rows = { batch = 10, form = "row" }
[data]
row = ["a"]
[[step]]
name = "a"
get = "/"
"#;

    a_row_of_a_batch: r#"
rows = { from = "row", batch = 10 }
[data]
row = [{ id = 1 }]
[[step]]
name = "a"
post = "/{{ row.id }}"
json = "{{ rows }}"
extract = { rows = "rows" }
rows = { at = "rows", detail = "_error" }
"#;

    rows_that_a_source_would_hide: r#"
rows = "row"
[data]
row = [1]
rows = [2]
[[step]]
name = "a"
get = "/{{ rows }}"
"#;

    wrong_fan_outs: r#"
[data]
case = ["a"]
[[step]]
name = "query"
get = "/{{ cse }}/{{ query }}"
for_each = ["case", "cas", "case"]
concurrency = 0
[[step]]
name = "join"
get = "/{{ query }}"
after = ["quer", "join"]
all_or_nothing = true
"#;

    wrong_extracts: r#"
[data]
case = ["a"]
[[step]]
name = "a"
get = "/"
extract = { case = "id", user = "id", x = "a..b", y = {}, z = { stream = "content" } }
[[step]]
name = "b"
get = "/"
stream = true
usage = true
extract = { whole = { body = true }, v = "id" }
expect = { body_contains = "x" }
"#;

    wrong_ends_of_streams: r#"
[[step]]
name = "a"
get = "/"
stream = { end = { json = "done", equals = [true] } }
[[step]]
name = "b"
get = "/"
stream = { end = { json = "done", equals = nan } }
[[step]]
name = "c"
get = "/"
stream = { end = { json = "done" } }
"#;

    wrong_retries_budgets_and_prices: r#"
rows = "cases"
[data]
case = ["a"]
[budget]
requests = 0
cost = 1
[price."gpt-4o"]
input = -1
[[step]]
name = "a"
get = "/"
retry = 1
goodput = { ttft = "1s" }
[[step]]
name = "b"
get = "/"
retry = { on = [42, "nothing"], backoff = "2s", longest = "1s", jitter = 2 }
"#;

    toml_syntax: r#"
summary = "unfinished
[[step]]
name = predict
get = "/"
"#;

    misspelt_keys: r#"
sumary = "x"
[headers]
api-key = { enw = "KEY" }
[[step]]
name = "predict"
get = "/"
expct = 200
expect = { staus = 200 }
"#;

    wrong_kinds_of_value: r#"
summary = 3
[load]
users = "ten"
[data]
review = { file = "reviews.csv", order = "shufle" }
[[step]]
name = "predict"
get = "/"
"#;

    one_table_where_a_list_is_needed: r#"
[user]
name = "a"
[load]
users = -1
"#;

    a_date: r#"
[[step]]
name = "predict"
post = "/"
json = { day = 2024-01-31 }
"#;

    unknown_step_in_a_rule: r#"
[[step]]
name = "predict"
get = "/"
[[slo]]
rule = "predicct: p95 < 200ms"
"#;

    wrong_rules: r#"
[[step]]
name = "predict"
get = "/"
[[slo]]
rule = "predict: p955 < 200ms"
[[slo]]
rule = "failure < 1%"
[[slo]]
rule = "failures < 1"
[[slo]]
rule = "p95 < 200"
[[slo]]
rule = "p95 = 200ms"
[[slo]]
rule = "rps > 30ms"
"#;

    missing_column: r#"
[data]
review = { file = "reviews.csv" }
[[step]]
name = "predict"
post = "/predict"
json = { text = "say \"{{ review.txt }}\"" }
"#;

    missing_column_of_drawn_rows: r#"
[data]
review = { file = "reviews.csv" }
[[step]]
name = "predict"
post = "/predict"
json = { texts = "{{ draw('review', 3) | map(attribute='txt') }}" }
"#;

    missing_data_file: r#"
[data]
review = { file = "revews.csv" }
[[step]]
name = "predict"
post = "/predict"
json = { text = "{{ review.text }}" }
"#;

    unknown_data_source_in_draw: r#"
[data]
review = { file = "reviews.csv" }
[[step]]
name = "predict"
post = "/predict"
json = { texts = "{{ draw('revue', 3) }}" }
"#;

    unknown_name_in_a_template: r#"
[data]
review = { file = "reviews.csv" }
[[step]]
name = "predict"
post = "/predict/{{ reviw.id }}"
headers = { x-id = "{{ uuidd() }}" }
"#;

    template_syntax: r#"
[[step]]
name = "predict"
post = "/predict"
body = """
first line
second \t line {{ iteration + }}
"""
"#;

    undefined_in_some_rows: r#"
[data]
row = [{ a = 1 }, { b = 2 }]
[[step]]
name = "predict"
post = "/predict"
body = "{{ row.b }}"
[[step]]
name = "second"
post = "/predict"
json = { sum = "{{ row.b + 1 }}" }
"#;

    a_column_that_later_rows_lack: r#"
[data]
row = [{ a = 1, b = 1 }, { a = 2, b = 2 }, { a = 3 }]
[[step]]
name = "predict"
post = "/predict"
body = "{{ row.b }}"
[[step]]
name = "drawn"
post = "/predict"
json = "{{ draw('row', 2) | map(attribute='b') }}"
[[step]]
name = "with a default"
get = "/{{ row.b | default('none') }}"
[[step]]
name = "without"
get = "/{{ row.a }}"
"#;

    a_column_that_rows_of_a_file_lack: r#"
[data]
row = { file = "rows.jsonl", order = "shuffle" }
[[step]]
name = "predict"
get = "/{{ row.b }}"
"#;

    unknown_filter: r#"
[[step]]
name = "predict"
post = "/predict"
body = "{{ iteration | uper }}"
"#;

    wrong_durations: r#"
think = "2s..1s"
[load]
duration = "0"
warm_up = "5"
[[step]]
name = "predict"
get = "/"
timeout = "3 minutes"
"#;

    wrong_stages: r#"
[load]
users = 5
stages = "10u:30s,50:1m"
[[step]]
name = "predict"
get = "/"
"#;

    wrong_status: r#"
[[step]]
name = "predict"
get = "/"
expect = { status = [200, 20, "2yy"] }
"#;

    two_methods: r#"
[[step]]
name = "predict"
get = "/"
post = "/predict"
"#;

    no_method: r#"
[[step]]
name = "predict"
json = { text = "x" }
"#;

    two_bodies: r#"
[[step]]
name = "predict"
post = "/"
json = { text = "x" }
body = "x"
"#;

    zero_weights: r#"
[[user]]
name = "a"
weight = 0
[[user.transaction]]
name = "t"
weight = 0
get = "/"
"#;

    duplicate_names: r#"
[[user]]
name = "a"
[[user.transaction]]
name = "t"
get = "/"
[[user.transaction]]
name = "t"
get = "/other"
[[user]]
name = "a"
[[user.transaction]]
name = "other"
get = "/"
"#;

    missing_names: r#"
[[user]]
[[user.transaction]]
get = "/"
[[user.transaction]]
name = "two"
[[user.transaction.step]]
get = "/"
"#;

    nothing_to_do: r#"
summary = "nothing"
"#;

    a_user_without_transactions: r#"
[[user]]
name = "idle"
"#;

    steps_and_users: r#"
[[step]]
name = "predict"
get = "/"
[[user]]
name = "a"
think = "1s"
[[user.transaction]]
name = "t"
get = "/t"
"#;

    empty_list: r#"
[data]
review = []
[[step]]
name = "predict"
get = "/"
"#;

    bad_names_of_sources: r#"
[data]
"my-rows" = [1]
env = [1]
range = [1]
[[step]]
name = "predict"
get = "/"
"#;

    wrong_paths: r#"
[[step]]
name = "a"
get = "predict"
[[step]]
name = "b"
get = "http://localhost:8000/predict"
[[step]]
name = "c"
get = "/two words"
[[step]]
name = "d"
get = "/page#part"
"#;

    wrong_header_names: r#"
[headers]
"two words" = "x"
content-length = "3"
[[step]]
name = "predict"
get = "/"
headers = { "x y" = "z" }
"#;

    wrong_expectations: r#"
[[step]]
name = "predict"
get = "/"
expect = { json = { "a..b" = "string", "a[x]" = "string", c = "strin", d = {} } }
"#;

    a_service_without_a_name: r#"
service = { latency = "90ms" }
[[step]]
name = "predict"
get = "/"
"#;

    an_unknown_service: r#"
service = "inferense"
[[step]]
name = "predict"
get = "/"
"#;

    wrong_settings_of_a_service: r#"
[service]
name = "inference"
engine = "blockin"
latency = { base = "90ms", per_itm = "2.5ms" }
faults = [ { kind = "rest", every = 3 } ]
[[step]]
name = "predict"
get = "/"
"#;

    settings_that_contradict_each_other: r#"
service = { name = "inference", engine = "blocking", workers = 2 }
[[step]]
name = "predict"
get = "/"
"#;

    many_mistakes_at_once: r#"
think = "soon"
[data]
review = { file = "reviews.csv" }
[[step]]
name = "predict"
post = "/predict"
timeout = "1 fortnight"
json = { text = "{{ review.txt }}", other = "{{ revie.text }}" }
expect = { status = 99 }
[[slo]]
rule = "p95 < soon"
"#;
}

#[test]
fn empty_data_file() {
    let scenario = r#"
[data]
review = { file = "rows.csv" }
[[step]]
name = "predict"
get = "/{{ review.id }}"
"#;
    insta::assert_snapshot!(wrong_with(scenario, &[("rows.csv", "id,text\n")]));
}

#[test]
fn bad_csv_row() {
    let scenario = r#"
[data]
review = { file = "rows.csv" }
[[step]]
name = "predict"
get = "/{{ review.id }}"
"#;
    let rows = "id,text\n1,fine\n2,this, one is not\n3,fine\n";
    insta::assert_snapshot!(wrong_with(scenario, &[("rows.csv", rows)]));
}

#[test]
fn bad_json_rows() {
    let scenario = r#"
[data]
list  = { file = "list.json" }
lines = { file = "lines.jsonl" }
other = { file = "rows.xml" }
[[step]]
name = "predict"
get = "/"
"#;
    let list = "[\n  { \"id\": 1 },\n  { \"id\": }\n]\n";
    let files = [("list.json", list), ("lines.jsonl", "{\"a\":1}\n\n{\"a\"\n")];
    insta::assert_snapshot!(wrong_with(scenario, &files));
}

#[test]
fn unknown_scenario() {
    let folder = Folder::new();
    let error = folder.load("inference-mixed").expect_err("there is none");
    insta::assert_snapshot!(error.to_string());
}

#[test]
fn unset_variables_are_found_before_a_run() {
    let folder = Folder::new();
    folder.write(
        "keys.toml",
        r#"
[headers]
api-key = { env = "GANDER_TEST_KEY" }
[[step]]
name = "with header"
get = "/"
[[step]]
name = "with path"
get = "/{{ env['GANDER_TEST_DEPLOYMENT'] }}/{{ env.GANDER_TEST_VERSION | default('1') }}"
headers = { api-key = "constant" }
[[step]]
name = "with header from a template"
get = "/"
headers = { api-key = "constant", authorization = "{{ 'Bearer ' ~ env.GANDER_TEST_TOKEN }}" }
"#,
    );
    let scenario = folder.load("keys").expect("an unset variable is no mistake of the file");
    let error = scenario.preview(1).expect_err("no variable is set");
    insta::assert_snapshot!(folder.without_path(&error.to_string()));
}

#[test]
fn mistakes_of_variants_and_settings_are_shown_where_they_are() {
    let folder = Folder::new();
    folder.write(
        "laid.toml",
        "[[step]]\nname = \"query\"\nget = \"/\"\n[variant.slow.step.qurey]\ntimeout = \"9s\"\n",
    );
    let with = |variant: Option<&str>, settings: &[&str]| {
        let settings: Vec<String> = settings.iter().map(|text| (*text).to_owned()).collect();
        let overlay = Overlay::new(variant.map(str::to_owned), &settings);
        let loaded = overlay.and_then(|overlay| {
            gander::scenario::Scenario::load_with("laid", &folder.place, &overlay)
        });
        folder.without_path(&loaded.expect_err("it is wrong").to_string())
    };
    let all = [
        with(Some("slwo"), &[]),
        with(Some("slow"), &[]),
        with(None, &["step.query.timeot=9s"]),
        with(None, &["step.query.timeout=never", "step.query"]),
        with(None, &["step.query.timeout=never", "load.users=many"]),
    ];
    insta::assert_snapshot!(all.join("\n\n"));
}
