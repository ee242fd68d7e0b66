//! Statistics: pure functions from numbers to numbers. Each names its source.

pub mod blocks;
pub mod bootstrap;
pub mod line;
pub mod normal;
pub mod order;
pub mod proportion;
pub mod sequential;
pub mod slope;
pub mod student;
pub mod usl;
