//! One module a service: its routes, and its behaviour as plain data.

pub(crate) mod ensemble;
mod fence;
pub(crate) mod inference;
pub(crate) mod llm;
pub(crate) mod multi_query;
pub(crate) mod work;
