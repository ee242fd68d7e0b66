//! Reports: a run and its assessment become one [`model::Report`], and that becomes Markdown, the
//! terminal's short form, or JSON. Pure functions from values to values; nothing here writes.

pub mod chart;
pub mod compare;
pub mod diagnosis;
pub mod dialect;
pub mod doctor;
pub mod format;
pub mod gate;
pub mod html;
pub mod inert;
pub mod json;
pub mod markdown;
pub mod model;
pub mod profile;
pub mod provenance;
mod quantity;
pub mod run;
pub mod selftest;
mod soak;
pub mod sweep;
pub mod terminal;
pub mod timeline;
