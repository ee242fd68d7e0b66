//! gander drives load at ML-inference and LLM services, watches what they do under it, and says
//! what the figures mean.
//!
//! `ARCHITECTURE.md` shows the rooms and the path of one measurement through them.

pub mod clock;
pub mod error;
pub mod measure;
pub mod schedule;
