//! What each command does, read top to bottom. The only code that prints.

mod bench;
pub mod compare;
pub mod doctor;
pub mod gate;
pub mod load;
pub mod mock;
pub mod output;
mod pages;
mod progress;
pub mod report;
pub mod scenario;
pub mod selftest;
mod signals;
pub mod soak;
pub mod study;
pub mod supervise;
pub mod sweep;
