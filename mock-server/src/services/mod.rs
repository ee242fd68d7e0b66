//! One module a service: its routes, and its behaviour as plain data.

pub(crate) mod ensemble;
pub(crate) mod inference;
pub(crate) mod llm;
pub(crate) mod multi_query;
