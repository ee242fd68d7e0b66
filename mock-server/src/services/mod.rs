//! One module a service: its routes, and its behaviour as plain data.

pub(crate) mod inference;
