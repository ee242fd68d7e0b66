//! The run folder. The journal is the one record of a run; every other file is a view of it, and
//! can be made again from it.

pub mod compare;
pub mod entry;
pub mod folder;
pub mod gate;
pub mod journal;
pub mod profiles;
mod record;
pub mod run;
pub mod selftest;
pub mod study;
pub mod sweep;
pub mod views;
