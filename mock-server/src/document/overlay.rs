//! A document laid over another.

use std::mem;
use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::names::suggestion;
use super::tree::Node;

/// What cannot be laid over a document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Astray {
    /// What is wrong.
    pub message: String,
    /// What was expected, or the nearest right name.
    pub label: String,
    /// The key that leads nowhere.
    pub place: Range<usize>,
}

/// The key of a table for which a text in its place stands, or none where a text stands for no table.
/// The table is told by its keys, with dots between them: `service.latency`.
pub type ShortForm = fn(&str) -> Option<&'static str>;

/// Lays `over` over `table`: tables are laid over tables key by key, tables over a list of tables by
/// the `name` of its elements, and any other value takes the place of what was there. A text over
/// which a table is laid becomes the key of it that `short_form` says; without one it gives way.
pub fn lay<'i>(
    table: &mut DeTable<'i>,
    over: DeTable<'i>,
    short_form: ShortForm,
    astray: &mut Vec<Astray>,
) {
    Laying { short_form, astray }.lay(table, over, "");
}

/// A document that is laid over another.
struct Laying<'a> {
    short_form: ShortForm,
    astray: &'a mut Vec<Astray>,
}

impl Laying<'_> {
    /// Lays `over` over the table whose keys are `path`.
    fn lay<'i>(&mut self, table: &mut DeTable<'i>, over: DeTable<'i>, path: &str) {
        for (key, value) in over {
            let Some(there) = table.get_mut(&**key.get_ref()) else {
                table.insert(key, value);
                continue;
            };
            let path = match path {
                "" => key.get_ref().to_string(),
                path => format!("{path}.{}", key.get_ref()),
            };
            let place = key.span();
            let span = value.span();
            match (there.get_mut(), value.into_inner()) {
                (DeValue::Table(there), DeValue::Table(over)) => self.lay(there, over, &path),
                (DeValue::Array(there), DeValue::Table(over)) => {
                    self.lay_by_name(there, over, (key.get_ref(), &place), &path);
                }
                (DeValue::String(text), DeValue::Table(mut over)) => {
                    if let Some(name) = (self.short_form)(&path) {
                        let text = DeValue::String(mem::take(text));
                        let text = Spanned::new(there.span(), text);
                        over.entry(Spanned::new(place.clone(), name.into())).or_insert(text);
                    }
                    *there = Spanned::new(place, DeValue::Table(over));
                }
                (_, over) => *there = Spanned::new(span, over),
            }
        }
    }

    /// Lays the tables of `over` over the elements that have their names.
    fn lay_by_name<'i>(
        &mut self,
        list: &mut [Node<'i>],
        over: DeTable<'i>,
        (list_name, place): (&str, &Range<usize>),
        path: &str,
    ) {
        let name_of = |element: &Node<'i>| {
            let name = element.get_ref().as_table()?.get("name")?;
            name.get_ref().as_str().map(str::to_owned)
        };
        let names: Vec<Option<String>> = list.iter().map(name_of).collect();
        if names.iter().all(Option::is_none) {
            self.astray.push(Astray {
                message: format!("the elements of `{list_name}` have no names"),
                label: "expected a whole list in its place".to_owned(),
                place: place.clone(),
            });
            return;
        }
        for (key, value) in over {
            let found = names.iter().position(|name| name.as_deref() == Some(&**key.get_ref()));
            let element = found.and_then(|at| list.get_mut(at)).map(Spanned::get_mut);
            match (element, value.into_inner()) {
                (Some(DeValue::Table(element)), DeValue::Table(over)) => {
                    self.lay(element, over, &format!("{path}.{}", key.get_ref()));
                }
                (Some(_), _) => self.astray.push(Astray {
                    message: format!("`{}` is one `{list_name}` of several keys", key.get_ref()),
                    label: "expected a key of it behind a dot".to_owned(),
                    place: key.span(),
                }),
                (None, _) => self.astray.push(Astray {
                    message: format!("there is no `{list_name}` named `{}`", key.get_ref()),
                    label: suggestion(key.get_ref(), names.iter().flatten().map(String::as_str)),
                    place: key.span(),
                }),
            }
        }
    }
}
