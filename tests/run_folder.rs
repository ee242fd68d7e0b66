//! A journal that is cut or damaged at any byte: what came before stays readable.

use std::fs;
use std::path::Path;

use gander::error::Error;
use gander::measure::ledger::Ledger;
use gander::measure::sample::Offset;
use gander::measure::summary::MeasuredWindow;
use gander::plan::{PlanRecord, Purpose, TargetRecord};
use gander::schedule::{ClosedLoad, LoadModel, Stage};
use gander::store::entry::{Entry, Environment, Event, SCHEMA_VERSION, Start, StoredInterval};
use gander::store::folder::RunFolder;
use gander::store::journal::{self, FILE_NAME, Journal};
use proptest::prelude::*;
use std::time::Duration;

fn start(schema_version: u32) -> Entry {
    let stage = Stage { users: 1, ramp: Duration::ZERO, hold: Duration::from_secs(9) };
    Entry::Start(Box::new(Start {
        schema_version,
        started_at: "2026-01-31T12:00:00+00:00".to_owned(),
        plan: PlanRecord {
            scenario: "test".to_owned(),
            summary: String::new(),
            digest: "0".to_owned(),
            users: Vec::new(),
            steps: Vec::new(),
            slos: Vec::new(),
            alerts: Vec::new(),
            load: LoadModel::Closed(ClosedLoad {
                stages: vec![stage],
                warm_up: Duration::ZERO,
                cool_down: Duration::ZERO,
                iterations: None,
                drain: Duration::ZERO,
            }),
            target: TargetRecord {
                url: "http://127.0.0.1/".to_owned(),
                origin: String::new(),
                pid: None,
            },
            seed: 1,
            threads: 1,
            command_line: Vec::new(),
            rows: None,
            budget: Default::default(),
            prices: Default::default(),
            variant: None,
            settings: Vec::new(),
            http: Default::default(),
            purpose: Purpose::Load,
            profile: None,
            observe_every: std::time::Duration::from_secs(1),
            scrape: None,
            sizing: None,
        },
        environment: Environment {
            gander_version: "9.9.9".to_owned(),
            gander_commit: None,
            optimised_build: true,
            system: String::new(),
            cpu: String::new(),
            cores: 1,
            usable_cores: None,
            memory_bytes: 1,
        },
        working_directory: None,
    }))
}

fn second(number: u64) -> Entry {
    Entry::Interval(Box::new(StoredInterval {
        start: Offset(number),
        end: Offset(number + 1),
        users: 1,
        window: MeasuredWindow::default(),
        distributions: Vec::new(),
        traffic: Vec::new(),
        completed: Vec::new(),
        delivered: Vec::new(),
        errors: Vec::new(),
        rows: Default::default(),
        ledger: Ledger::default(),
        done: None,
    }))
}

fn write_journal(folder: &Path, seconds: u64) -> Vec<u8> {
    let mut journal = Journal::create(folder).expect("a new journal");
    journal.append(&start(SCHEMA_VERSION)).expect("room");
    (0..seconds).for_each(|number| journal.append(&second(number)).expect("room"));
    drop(journal);
    fs::read(folder.join(FILE_NAME)).expect("the journal")
}

proptest! {
    #[test]
    fn a_cut_at_any_byte_loses_only_what_was_cut(seconds in 1u64..8, at in 0.0f64..1.0) {
        let folder = tempfile::tempdir().expect("a folder");
        let whole = write_journal(folder.path(), seconds);
        let cut = (whole.len() as f64 * at) as usize;
        fs::write(folder.path().join(FILE_NAME), &whole[..cut]).expect("a file");
        let lines = whole[..cut].iter().filter(|byte| **byte == b'\n').count();
        match journal::read(folder.path()) {
            Ok(run) => {
                prop_assert_eq!(run.intervals.len(), lines - 1);
                let is_torn = cut > 0 && whole[cut - 1] != b'\n';
                prop_assert_eq!(run.lost_lines, usize::from(is_torn));
            }
            Err(error) => {
                prop_assert_eq!(lines, 0, "{}", error);
                prop_assert!(matches!(error, Error::BadInput(_)));
            }
        }
    }

    #[test]
    fn a_changed_byte_is_never_taken_for_a_figure(at in 0.0f64..1.0, flip in 1u8..=255) {
        let folder = tempfile::tempdir().expect("a folder");
        let mut bytes = write_journal(folder.path(), 5);
        let position = ((bytes.len() - 1) as f64 * at) as usize;
        let line = bytes[..position].iter().filter(|byte| **byte == b'\n').count();
        bytes[position] ^= flip;
        fs::write(folder.path().join(FILE_NAME), &bytes).expect("a file");
        match journal::read(folder.path()) {
            Ok(run) => {
                prop_assert_eq!(run.intervals.len(), line - 1);
                prop_assert!(run.lost_lines > 0);
            }
            Err(error) => prop_assert!(line == 0 && matches!(error, Error::BadInput(_))),
        }
    }
}

#[test]
fn a_folder_that_is_being_written_is_not_read() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut journal = Journal::create(folder.path()).expect("a new journal");
    journal.append(&start(SCHEMA_VERSION)).expect("room");
    let error = journal::read(folder.path()).expect_err("it is locked");
    assert!(error.to_string().contains("running gander"), "{error}");
    drop(journal);
    journal::read(folder.path()).expect("the lock went with the writer");
}

#[test]
fn a_later_form_is_refused_with_the_version_that_reads_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut journal = Journal::create(folder.path()).expect("a new journal");
    journal.append(&start(SCHEMA_VERSION + 1)).expect("room");
    drop(journal);
    let error = journal::read(folder.path()).expect_err("it is from the future");
    assert!(error.to_string().contains("9.9.9"), "{error}");
}

#[test]
fn what_is_no_run_folder_is_said_to_be_none() {
    let folder = tempfile::tempdir().expect("a folder");
    let error = journal::read(folder.path()).expect_err("it is empty");
    assert!(matches!(error, Error::BadInput(_)), "{error}");
}

#[test]
fn two_runs_of_the_same_second_have_folders_of_their_own() {
    let reports = tempfile::tempdir().expect("a folder");
    let folders: Vec<_> =
        (0..3).map(|_| RunFolder::create(reports.path(), "run").expect("a new folder")).collect();
    assert_ne!(folders[0], folders[1]);
    assert_ne!(folders[1], folders[2]);
    let mode = std::os::unix::fs::PermissionsExt::mode(
        &fs::metadata(folders[0].path()).unwrap().permissions(),
    );
    assert_eq!(mode & 0o777, 0o700, "only its owner reads it");
}

#[test]
fn events_are_kept_in_order() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut journal = Journal::create(folder.path()).expect("a new journal");
    journal.append(&start(SCHEMA_VERSION)).expect("room");
    for text in ["first", "second\nline", "third"] {
        journal
            .append(&Entry::Event(Event { at: Offset(1), text: text.to_owned() }))
            .expect("room");
    }
    drop(journal);
    let run = journal::read(folder.path()).expect("own output");
    let texts: Vec<_> = run.events.iter().map(|event| event.text.as_str()).collect();
    assert_eq!(texts, ["first", "second\nline", "third"]);
}
