//! Charts as SVG documents: drawn here rather than by a plotting library, for a chart must stand
//! on its own (title, units, legend beside the data, text for who cannot see it, its own background
//! for dark pages) and stay small.

mod distribution;
mod plot;
mod scale;
mod series;
mod svg;
pub mod sweep;

pub use distribution::distribution;
pub use series::{counts, first_token, latency, resources, throughput};
