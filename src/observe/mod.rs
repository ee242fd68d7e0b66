//! Watches the run: resources of target and generator, the generator's own lateness, and the
//! second's beat that writes the journal.

mod cgroup;
mod cpu;
pub mod environment;
pub mod lag;
pub mod listener;
pub mod machine;
pub mod monitor;
mod page;
pub mod pressure;
pub mod resources;
pub mod scrape;
mod tcp;
mod threads;
