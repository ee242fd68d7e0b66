//! Data sources: their names, files and rows.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::scenario::data::{DataSource, Order};
use crate::scenario::file::DataFile;
use crate::scenario::rows::{self, Format};
use crate::scenario::written::{At, ListOr};

use super::Checker;

impl Checker<'_> {
    pub(super) fn sources(
        &mut self,
        written: BTreeMap<At<String>, At<ListOr<DataFile>>>,
    ) -> Vec<DataSource> {
        let mut sources = Vec::new();
        for (name, entry) in written {
            self.check_name(&name);
            let read = match entry.value {
                ListOr::List(items) => {
                    let (columns, rows) = rows::from_list(&items);
                    Some((columns, rows, Order::Next, None))
                }
                ListOr::Table(DataFile { file, order }) => self
                    .data_file(&file)
                    .map(|(columns, rows)| (columns, rows, order, Some(file.value))),
            };
            let Some((columns, rows, order, file)) = read else {
                // A source without columns and rows keeps the names of templates known.
                sources.push(DataSource {
                    name: name.value,
                    order: Order::Next,
                    file: None,
                    columns: Arc::default(),
                    rows: Arc::default(),
                });
                continue;
            };
            if rows.is_empty() {
                let message = format!("data source `{}` has no rows", name.value);
                self.problem(&entry.span, message, "expected at least one");
            }
            sources.push(DataSource { name: name.value, order, file, columns, rows });
        }
        sources
    }

    fn data_file(&mut self, file: &At<String>) -> Option<rows::Rows> {
        let Some(format) = Format::of(&file.value) else {
            let message = format!("`{}` is not a data file", file.value);
            self.problem(&file.span, message, "expected a .csv, .json or .jsonl file");
            return None;
        };
        let source = match self.found.text(&file.value) {
            Ok(source) => Arc::new(source),
            Err(why) => {
                self.problem(&file.span, why, "paths begin at the scenario's own folder");
                return None;
            }
        };
        rows::from_file(&source, format).map_err(|problem| self.problems.push(problem)).ok()
    }
}
