//! What gander sees besides its own requests: the machine that it runs on, and what a target says of
//! itself.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on has failed")]

mod doctor;
#[path = "../support/gander.rs"]
mod gander;
#[path = "../support/reference.rs"]
mod reference;
mod scrape;
mod sizing;
