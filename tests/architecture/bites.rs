//! Each rule on sources made for it: it finds what is wrong, at its line, and lets pass what is right.

use crate::rules::{self, printing, stray_crates, too_long};
use crate::source::{Source, without_test_files};
use crate::{COMMENT_REACH, CRATES, PRINTERS, ROOMS, manifest};

fn source(file: &str, text: &str) -> Source {
    Source::read(file, text).unwrap()
}

fn backward(file: &str, text: &str) -> Vec<String> {
    rules::backward_arrows(&source(file, text), ROOMS)
}

/// Asserts that `broken` is one place, `place`, and that its text speaks of `what`.
#[track_caller]
fn assert_one(broken: &[String], place: &str, what: &str) {
    assert_eq!(broken.len(), 1, "{broken:#?}");
    assert!(broken[0].starts_with(&format!("{place}: ")), "{broken:#?}");
    assert!(broken[0].contains(what), "{broken:#?}");
}

#[test]
fn an_arrow_that_runs_back_is_found_however_it_is_written() {
    for text in [
        "\nuse crate::report;",
        "\nuse crate::report::Report;",
        "\nuse crate::report as r;",
        "\nuse crate::report::*;",
        "\nuse {std::fmt, crate::{error, report::{self}}};",
        "\nuse super::super::report::Report;",
        "\npub use super::super::report::Report;",
        "\nfn f() -> crate::report::Report { loop {} }",
        "\nfn f() { crate::report::html::write(); }",
        "\nfn f(t: impl crate::report::Shown) {}",
        "\nfn f() { let _ = vec![1, crate::report::LIMIT]; }",
        "\n#[derive(crate::report::Shown)] struct S;",
        "\nmod inner { use super::super::super::report::Report; }",
    ] {
        let broken = backward("src/measure/sample.rs", text);
        assert_one(&broken, "src/measure/sample.rs:2", "`measure` uses `crate::report");
    }
}

#[test]
fn each_name_of_a_group_has_its_own_line() {
    let broken = backward("src/stats/mod.rs", "use crate::{\n    error,\n    plan::Plan,\n};");
    assert_eq!(broken.len(), 2);
    assert!(broken[0].starts_with("src/stats/mod.rs:2: `stats` uses `crate::error`"));
    assert!(broken[1].starts_with("src/stats/mod.rs:3: `stats` uses `crate::plan::Plan`"));
}

#[test]
fn a_room_may_use_itself_and_what_its_row_names() {
    let text = "use crate::measure::ledger::Ledger; use super::sample::Sample; use self::a::B;
        use crate::error::Error; use std::io; use report::Report; pub(crate) fn f() {}";
    assert_eq!(backward("src/measure/recorder.rs", text), [""; 0]);
    assert_eq!(backward("src/plan.rs", "use super::scenario::model::Scenario;"), [""; 0]);
    assert_eq!(backward("src/lib.rs", "pub use crate::report::Report;"), [""; 0]);
}

#[test]
fn a_row_can_name_a_part_of_a_room() {
    let file = "src/scenario/model.rs";
    assert_eq!(backward(file, "use crate::measure::sample::StepId;"), [""; 0]);
    assert_eq!(backward(file, "use crate::measure::sample;"), [""; 0]);
    let broken = backward(file, "use crate::measure::recorder::Recorder;");
    assert_one(&broken, "src/scenario/model.rs:1", "it may use: error schedule measure::sample");
    assert_one(&backward(file, "use crate::measure;"), "src/scenario/model.rs:1", "measure");
}

#[test]
fn the_binary_sees_the_command_line_only() {
    assert_eq!(backward("src/main.rs", "use gander::cli::Cli;"), [""; 0]);
    let broken = backward("src/main.rs", "\n\nuse gander::engine::Engine;");
    assert_one(&broken, "src/main.rs:3", "`main` uses `crate::engine::Engine`");
}

#[test]
fn a_name_of_the_root_is_no_way_around() {
    let broken = backward("src/stats/mod.rs", "use crate::Report;");
    assert_one(&broken, "src/stats/mod.rs:1", "`crate::Report`; it may use: no room");
}

#[test]
fn tests_may_use_anything() {
    let text = "#[cfg(test)]\nmod tests { use crate::report::Report; fn f() { println!(); } }
        #[cfg(all(test, unix))] use tokio::net;";
    let source = source("src/stats/mod.rs", text);
    assert_eq!(rules::backward_arrows(&source, ROOMS), [""; 0]);
    assert_eq!(printing(&source, PRINTERS), [""; 0]);
    assert_eq!(stray_crates(&source, CRATES), [""; 0]);
    for condition in ["not(test)", "any(test, unix)", "feature = \"test\""] {
        let text = format!("#[cfg({condition})]\nuse crate::report::Report;");
        assert_one(&backward("src/stats/mod.rs", &text), "src/stats/mod.rs:2", "report");
    }
}

#[test]
fn a_test_module_in_a_file_of_its_own_is_left_out() {
    let all = vec![
        source("src/stats/mod.rs", "#[cfg(test)]\nmod tests;\nmod slope;"),
        source("src/stats/tests.rs", "mod golden;"),
        source("src/stats/tests/golden.rs", ""),
        source("src/stats/slope.rs", ""),
    ];
    let kept: Vec<String> = without_test_files(all).into_iter().map(|one| one.file).collect();
    assert_eq!(kept, ["src/stats/mod.rs", "src/stats/slope.rs"]);
}

#[test]
fn the_table_has_no_circle() {
    let rooms = [("http", "plan"), ("plan", "http::Options"), ("flow", "flow")];
    let broken = rules::table_out_of_order(&rooms);
    assert_eq!(broken.len(), 2, "{broken:#?}");
    assert!(broken[0].contains("`http` uses `plan`"));
    assert!(broken[1].contains("`flow` uses `flow`"));
}

#[test]
fn a_new_room_must_be_placed() {
    let entries = ["lib.rs", "main.rs", "measure", "plan.rs", "attic", "cellar.rs"];
    let broken = rules::unplaced(entries.map(str::to_owned).into_iter(), ROOMS);
    assert_eq!(broken.len(), 2, "{broken:#?}");
    assert!(broken[0].starts_with("src/attic: "));
    assert!(broken[1].starts_with("src/cellar.rs: "));
    assert_one(&backward("src/attic/mod.rs", ""), "src/attic/mod.rs:1", "`attic` is in no row");
}

#[test]
fn crates_are_named_only_at_home() {
    for (at_home, elsewhere, text) in [
        ("src/cli/load.rs", "src/commands/load.rs", "#[derive(clap::Args)] struct Load;"),
        ("src/main.rs", "src/plan.rs", "use clap::Parser;"),
        ("src/engine/closed.rs", "src/flow.rs", "use goose::prelude::*;"),
        ("src/http/exchange.rs", "src/flow.rs", "fn f(x: hyper::body::Incoming) {}"),
        ("src/http/connection.rs", "src/engine/open.rs", "use {hyper_util::rt};"),
        ("src/clock.rs", "src/measure/recorder.rs", "use tokio::time::Instant;"),
        ("src/engine/mod.rs", "src/schedule.rs", "#[tokio::main] async fn f() {}"),
        ("src/flow.rs", "src/scenario/file.rs", "fn f() { tokio::select! {} }"),
        ("src/flow.rs", "src/report/html.rs", "fn f() { g!(tokio::spawn(h)); }"),
    ] {
        assert_eq!(stray_crates(&source(at_home, text), CRATES), [""; 0]);
        let broken = stray_crates(&source(elsewhere, text), CRATES);
        assert_one(&broken, &format!("{elsewhere}:1"), "which belongs to: ");
    }
}

#[test]
fn only_commands_may_print() {
    for text in [
        "fn f() { println!(\"{}\", 1); }",
        "fn f() { std::eprintln!(); }",
        "fn f() { dbg!(1); }",
        "fn f() { g!({ print!(\"\") }); }",
        "fn f() { write(std::io::stdout()); }",
        "use std::io::{self, Write, stderr};",
        "fn f() { let _: io::Stdout; }",
        "use tokio::io::stdout;",
    ] {
        let broken = printing(&source("src/report/terminal.rs", text), PRINTERS);
        assert_one(&broken, "src/report/terminal.rs:1", "only commands main may print");
        for printer in ["src/commands/load.rs", "src/main.rs"] {
            assert_eq!(printing(&source(printer, text), PRINTERS), [""; 0]);
        }
    }
    let text = "use std::io::Write; fn f(c: &mut Command) { c.stdout(Stdio::piped()); }
        fn g(to: &mut dyn Write) { let _ = writeln!(to, \"println!\"); }";
    assert_eq!(printing(&source("src/report/terminal.rs", text), PRINTERS), [""; 0]);
}

#[test]
fn the_mock_server_stands_alone() {
    let file = "mock-server/src/ledger.rs";
    let broken = rules::names_gander(&source(file, "//! For gander.\nuse gander::measure;"));
    assert_one(&broken, "mock-server/src/ledger.rs:2", "names `gander`");
    let manifest = "# For gander.\n[dev-dependencies]\ngander = { path = \"..\" }\n";
    let broken = rules::depends_on_gander("mock-server/Cargo.toml", manifest);
    assert_one(&broken, "mock-server/Cargo.toml:3", "depends on `gander`");
}

#[test]
fn long_files_and_functions_are_found_without_their_tests() {
    let text = "struct S;\nimpl S {\n    /// Does it.\n    fn long() {\n\n\n    }\n}\nfn short() {}\n\
        #[cfg(test)]\nmod tests {\n    fn longer() {\n\n\n\n\n    }\n}\n";
    let source = source("src/plan.rs", text);
    assert_eq!(too_long(&source, 9, 4), [""; 0]);
    assert_one(&too_long(&source, 9, 3), "src/plan.rs:4", "`long` has 4 lines, more than 3");
    assert_one(&too_long(&source, 8, 4), "src/plan.rs", "9 lines without tests, more than 8");
}

#[test]
fn a_dependency_says_what_it_is_for() {
    let root = "[workspace.dependencies]\n# Bytes.\nbytes = \"1\"\n\nrand = { version = \"0.10\" }\n\
        [package]\nname = \"gander\"\n\
        [dependencies]\nbytes.workspace = true\nrand = { workspace = true }\n\
        # TLS.\nrustls = { features = [\n    \"ring\",\n], version = \"1\" }\ntokio-rustls = \"1\"\n\
        [target.'cfg(unix)'.dependencies]\nlibc = \"0.2\"\n\
        [dependencies.url]\nversion = \"2\"\n";
    let member = "[dev-dependencies]\nbytes.workspace = true\nserde = \"1\"\n";
    let broken = manifest::unexplained(&[("Cargo.toml", root), ("m/Cargo.toml", member)], 2);
    let places: Vec<&str> = broken.iter().map(|one| one.split(": ").next().unwrap()).collect();
    // `rand` where it is shared and where it is inherited, `libc`, the table, `serde`.
    let expected =
        ["Cargo.toml:5", "Cargo.toml:10", "Cargo.toml:17", "Cargo.toml:18", "m/Cargo.toml:3"];
    assert_eq!(places, expected, "{broken:#?}");
}

#[test]
fn a_comment_speaks_for_a_few_lines_only() {
    let text = format!("[dependencies]\n# All of it.\n{}", "a = \"1\"\n".repeat(COMMENT_REACH + 1));
    let broken = manifest::unexplained(&[("Cargo.toml", &text)], COMMENT_REACH);
    assert_one(&broken, &format!("Cargo.toml:{}", COMMENT_REACH + 3), "what it is for");
}
