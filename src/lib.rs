//! gander drives load at ML-inference and LLM services, watches what they do under it, and says
//! what the figures mean.
//!
//! `ARCHITECTURE.md` shows the rooms and the path of one measurement through them.

pub mod analysis;
pub mod cli;
pub mod clock;
pub mod commands;
pub mod engine;
pub mod error;
pub mod flow;
pub mod http;
pub mod measure;
pub mod observe;
pub mod plan;
pub mod profile;
pub mod report;
pub mod sampler;
pub mod scenario;
pub mod schedule;
pub mod stats;
pub mod store;
pub mod study;
pub mod target;
