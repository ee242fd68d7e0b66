//! Samples, and what is made of them: distributions, intervals, the ledger, summaries, validity.
//!
//! Nothing here knows a clock, a socket or a runtime.

pub mod distribution;
pub mod interval;
pub mod ledger;
pub mod machine;
pub mod metric;
pub mod numbers;
pub mod recorder;
pub mod resource;
pub mod rows;
pub mod sample;
pub mod scrape;
pub mod selector;
pub mod summary;
pub mod validity;
