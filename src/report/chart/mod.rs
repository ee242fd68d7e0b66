//! Charts as SVG documents: drawn here rather than by a plotting library, for a chart must stand
//! on its own (title, units, legend beside the data, text for who cannot see it, its own background
//! for dark pages) and stay small.

pub mod changes;
mod distribution;
pub mod grouped;
mod look;
pub mod memory;
pub mod percentiles;
mod plot;
mod rows;
mod scale;
mod series;
mod svg;
pub mod sweep;
pub mod waterfall;

pub use distribution::distribution;
pub use rows::Words;
pub use series::{counts, first_token, latency, resources, throughput};
