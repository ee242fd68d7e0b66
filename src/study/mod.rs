//! Studies: designed experiments. Runs take turns in slices, are compared, and are told as one report.
//!
//! `file` is what is written, `model` what is meant, `check` the way from one to the other; `figures`
//! what was measured of each run, as expressions see it by the `names` of one list; `words` evaluates
//! them; `verdict` judges; `report` makes the report, of which `rulings`, `tables` and `charts` are parts.

mod charts;
mod check;
pub mod figures;
pub mod file;
mod marked;
pub mod model;
pub mod names;
pub mod report;
mod rulings;
mod tables;
pub mod verdict;
pub mod words;

pub use model::{Length, Study, StudyRun};
