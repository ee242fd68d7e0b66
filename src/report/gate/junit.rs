//! A gate as JUnit XML: one suite, a case for each figure and each rule.
//!
//! A figure that regressed is a failure, one that is inconclusive an error, one that was not judged is
//! skipped; the suite's properties say what was compared.

use quick_junit::{NonSuccessKind, Report, SerializeError, TestCase, TestCaseStatus, TestSuite};

use crate::report::inert;

use super::Told;
use super::cases::{Case, Outcome, cases};

/// Name of the file in a gate's folder.
pub const FILE_NAME: &str = "junit.xml";

/// The file.
///
/// # Errors
///
/// Where the XML cannot be made.
pub fn render(told: &Told<'_>) -> Result<String, SerializeError> {
    let record = told.record;
    let name = format!("gander gate {}", inert::visible(&record.scenario));
    let mut suite = TestSuite::new(name.as_str());
    suite.set_time(record.took);
    let [base, head] = &record.sides;
    let properties = [
        ("base", base.clone()),
        ("head", head.clone()),
        ("verdict", told.decision.name().to_owned()),
        ("rounds", told.rounds.len().to_string()),
        ("rounds_set_aside", record.set_aside.len().to_string()),
        ("rate_per_s", record.rate.per_second.to_string()),
        ("seed", record.seed.to_string()),
        ("started_at", record.started_at.clone()),
    ];
    for (name, value) in &properties {
        suite.add_property((*name, inert::visible(value).as_ref()));
    }
    suite.add_test_cases(cases(told).iter().map(|case| test_case(case, &name)));
    let mut report = Report::new(name.as_str());
    report.set_time(record.took);
    report.add_test_suite(suite);
    report.to_string()
}

fn test_case(case: &Case, class: &str) -> TestCase {
    let says = inert::visible(&case.says);
    let status = match case.outcome {
        Outcome::Passed => TestCaseStatus::success(),
        Outcome::Failed => not_passed(NonSuccessKind::Failure, "failed", &says),
        Outcome::Unclear => not_passed(NonSuccessKind::Error, "inconclusive", &says),
        Outcome::Skipped => {
            let mut status = TestCaseStatus::skipped();
            status.set_message(says.as_ref());
            status
        }
    };
    let mut made = TestCase::new(inert::visible(&case.name).as_ref(), status);
    made.set_classname(class);
    if case.outcome == Outcome::Passed {
        made.set_system_out(says.as_ref());
    }
    made
}

fn not_passed(kind: NonSuccessKind, of_type: &str, says: &str) -> TestCaseStatus {
    let mut status = TestCaseStatus::non_success(kind);
    // Some readers show the attribute, some the text.
    status.set_message(says).set_type(of_type).set_description(says);
    status
}
