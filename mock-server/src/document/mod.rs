//! Reading TOML documents that people write: every mistake at once, each shown at its place with
//! what was expected or the nearest right name.
//!
//! ```
//! use std::sync::Arc;
//! use mock_server::document::{self, Source, Style};
//!
//! #[derive(Debug, serde::Deserialize)]
//! #[serde(deny_unknown_fields)]
//! struct Settings { workers: Option<u32> }
//!
//! let source = Arc::new(Source { name: "a.toml".into(), text: "wrokers = 4".into() });
//! let problems = document::read::<Settings>(&source).unwrap_err();
//! assert!(document::render(&problems, Style::Plain).contains("did you mean `workers`?"));
//! ```

mod diagnostic;
mod names;
mod overlay;
mod read;
mod setting;
mod source;
pub(crate) mod tree;

pub use diagnostic::{Diagnostic, Style, render};
pub use names::{nearest, one_of, suggestion};
pub use overlay::{Astray, ShortForm, lay};
pub(crate) use read::in_words;
pub use read::{parse, read, read_tree};
pub use setting::Setting;
pub use source::{Source, Sources, Spot};
pub use tree::{Node, moved};
