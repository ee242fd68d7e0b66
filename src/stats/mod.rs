//! Statistics: pure functions from numbers to numbers. Each names its source.

pub mod bootstrap;
pub mod order;
pub mod slope;
pub mod usl;
