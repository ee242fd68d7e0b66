//! What the rules look at in one source file: the names it uses, and how long it is.

use proc_macro2::{TokenStream, TokenTree};
use syn::spanned::Spanned as _;
use syn::visit::{self, Visit};
use syn::{Attribute, Block, ImplItemFn, Item, ItemFn, ItemMod, ItemUse, Macro, Meta, MetaList};
use syn::{Path, Signature, TraitItemFn, UseTree};

/// One file. What is compiled for tests only is left out.
#[derive(Debug, Clone)]
pub struct Source {
    /// Path from the root of the repository.
    pub file: String,
    /// Names of the modules that lead here from `src`; empty for `lib.rs` and `main.rs`.
    pub module: Vec<String>,
    /// Names used, in order.
    pub references: Vec<Reference>,
    /// Functions with a body.
    pub functions: Vec<Function>,
    /// Lines, test modules not counted.
    pub lines: usize,
    /// Modules for tests only that have a file of their own.
    pub test_modules: Vec<Vec<String>>,
}

/// A name that a file uses.
#[derive(Debug, Clone)]
pub struct Reference {
    pub line: usize,
    /// Its segments. Those of this crate begin with `crate`, however they were written; the last one
    /// ends with `!` for a macro.
    pub path: Vec<String>,
}

/// A function with a body.
#[derive(Debug, Clone)]
pub struct Function {
    pub name: String,
    pub line: usize,
    /// From its signature to the end of its body.
    pub lines: usize,
}

impl Source {
    /// Reads `text` as the file `file`, a path that contains `src/`.
    pub fn read(file: &str, text: &str) -> Result<Source, String> {
        let tree = syn::parse_file(text)
            .map_err(|error| format!("{file}:{}: {error}", error.span().start().line))?;
        let mut reader = Reader {
            module: module_of(file),
            source: Source {
                file: file.to_owned(),
                module: module_of(file),
                references: Vec::new(),
                functions: Vec::new(),
                lines: text.lines().count(),
                test_modules: Vec::new(),
            },
        };
        reader.visit_file(&tree);
        Ok(reader.source)
    }

    /// The room this file belongs to; `lib` and `main` for the roots.
    pub fn room(&self) -> &str {
        match self.module.first() {
            Some(room) => room,
            None if self.file.ends_with("main.rs") => "main",
            None => "lib",
        }
    }
}

/// Leaves out the files of modules that are compiled for tests only.
pub fn without_test_files(sources: Vec<Source>) -> Vec<Source> {
    let tests: Vec<Vec<String>> =
        sources.iter().flat_map(|source| source.test_modules.clone()).collect();
    let is_test = |source: &Source| tests.iter().any(|test| source.module.starts_with(test));
    sources.into_iter().filter(|source| !is_test(source)).collect()
}

fn module_of(file: &str) -> Vec<String> {
    let inner = file.rsplit_once("src/").map_or(file, |(_, inner)| inner);
    let inner = inner.strip_suffix(".rs").unwrap_or(inner);
    let mut module: Vec<String> = inner.split('/').map(str::to_owned).collect();
    let last = module.last().map(String::as_str);
    if last == Some("mod") || matches!(inner, "lib" | "main") {
        module.pop();
    }
    module
}

struct Reader {
    /// Where the reader is, inline modules included.
    module: Vec<String>,
    source: Source,
}

impl Reader {
    fn record(&mut self, line: usize, path: Vec<String>) {
        let path = self.resolve(path);
        self.source.references.push(Reference { line, path });
    }

    /// Paths of this crate from its root; others as they are.
    fn resolve(&self, path: Vec<String>) -> Vec<String> {
        let start = match path[0].as_str() {
            "crate" => &[],
            "self" | "super" => self.module.as_slice(),
            // The binary is a crate of its own and knows the library by its name.
            "gander" if self.source.file == "src/main.rs" => &[],
            _ => return path,
        };
        let ups = path.iter().filter(|name| *name == "super").count();
        let start = &start[..start.len().saturating_sub(ups)];
        let root = ["crate".to_owned()].into_iter();
        let rest = path.iter().skip(1).filter(|name| *name != "super").cloned();
        root.chain(start.iter().cloned()).chain(rest).collect()
    }

    fn record_tree(&mut self, mut path: Vec<String>, tree: &UseTree) {
        match tree {
            UseTree::Path(step) => {
                path.push(step.ident.to_string());
                self.record_tree(path, &step.tree);
            }
            UseTree::Group(group) => {
                for tree in &group.items {
                    self.record_tree(path.clone(), tree);
                }
            }
            UseTree::Name(leaf) if leaf.ident == "self" => self.record(line(tree), path),
            UseTree::Rename(leaf) if leaf.ident == "self" => self.record(line(tree), path),
            UseTree::Glob(_) => self.record(line(tree), path),
            UseTree::Name(syn::UseName { ident })
            | UseTree::Rename(syn::UseRename { ident, .. }) => {
                path.push(ident.to_string());
                self.record(line(tree), path);
            }
        }
    }

    /// Paths in the arguments of macros and attributes, which have no syntax tree. A name alone is none:
    /// in markup, `h2` is a heading and not a crate.
    fn record_tokens(&mut self, tokens: TokenStream) {
        let tokens: Vec<TokenTree> = tokens.into_iter().collect();
        let mut rest = tokens.as_slice();
        while let [token, after @ ..] = rest {
            rest = after;
            match token {
                TokenTree::Group(group) => self.record_tokens(group.stream()),
                TokenTree::Ident(first) => {
                    let mut path = vec![first.to_string()];
                    while let [
                        TokenTree::Punct(a),
                        TokenTree::Punct(b),
                        TokenTree::Ident(name),
                        after @ ..,
                    ] = rest
                        && (a.as_char(), b.as_char()) == (':', ':')
                    {
                        path.push(name.to_string());
                        rest = after;
                    }
                    if matches!(rest.first(), Some(TokenTree::Punct(mark)) if mark.as_char() == '!')
                    {
                        mark_macro(&mut path);
                    } else if path.len() == 1 {
                        continue;
                    }
                    self.record(line(first), path);
                }
                TokenTree::Punct(_) | TokenTree::Literal(_) => {}
            }
        }
    }

    fn record_function(&mut self, signature: &Signature, body: &Block) {
        let first = line(&signature.fn_token);
        self.source.functions.push(Function {
            name: signature.ident.to_string(),
            line: first,
            lines: body.span().end().line - first + 1,
        });
    }

    fn leave_out(&mut self, item: &Item) {
        let span = item.span();
        self.source.lines -= span.end().line - span.start().line + 1;
        if let Item::Mod(ItemMod { ident, content: None, .. }) = item {
            let mut module = self.module.clone();
            module.push(ident.to_string());
            self.source.test_modules.push(module);
        }
    }
}

impl<'ast> Visit<'ast> for Reader {
    fn visit_item(&mut self, item: &'ast Item) {
        if attributes(item).iter().any(is_for_tests) {
            self.leave_out(item);
        } else {
            visit::visit_item(self, item);
        }
    }

    fn visit_item_mod(&mut self, module: &'ast ItemMod) {
        self.module.push(module.ident.to_string());
        visit::visit_item_mod(self, module);
        self.module.pop();
    }

    fn visit_item_use(&mut self, item: &'ast ItemUse) {
        self.record_tree(Vec::new(), &item.tree);
    }

    fn visit_item_fn(&mut self, function: &'ast ItemFn) {
        self.record_function(&function.sig, &function.block);
        visit::visit_item_fn(self, function);
    }

    fn visit_impl_item_fn(&mut self, function: &'ast ImplItemFn) {
        self.record_function(&function.sig, &function.block);
        visit::visit_impl_item_fn(self, function);
    }

    fn visit_trait_item_fn(&mut self, function: &'ast TraitItemFn) {
        if let Some(body) = &function.default {
            self.record_function(&function.sig, body);
        }
        visit::visit_trait_item_fn(self, function);
    }

    fn visit_path(&mut self, path: &'ast Path) {
        // A single name is a local one or was imported, and the import is read.
        if path.segments.len() > 1 {
            self.record(line(path), segments(path));
        }
        visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, call: &'ast Macro) {
        let mut path = segments(&call.path);
        mark_macro(&mut path);
        self.record(line(&call.path), path);
        self.record_tokens(call.tokens.clone());
    }

    fn visit_meta_list(&mut self, list: &'ast MetaList) {
        self.record_tokens(list.tokens.clone());
        visit::visit_meta_list(self, list);
    }
}

fn line(node: &impl syn::spanned::Spanned) -> usize {
    node.span().start().line
}

fn segments(path: &Path) -> Vec<String> {
    path.segments.iter().map(|segment| segment.ident.to_string()).collect()
}

fn mark_macro(path: &mut [String]) {
    if let Some(last) = path.last_mut() {
        last.push('!');
    }
}

fn attributes(item: &Item) -> &[Attribute] {
    match item {
        Item::Const(item) => &item.attrs,
        Item::Enum(item) => &item.attrs,
        Item::Fn(item) => &item.attrs,
        Item::Impl(item) => &item.attrs,
        Item::Macro(item) => &item.attrs,
        Item::Mod(item) => &item.attrs,
        Item::Static(item) => &item.attrs,
        Item::Struct(item) => &item.attrs,
        Item::Trait(item) => &item.attrs,
        Item::Type(item) => &item.attrs,
        Item::Use(item) => &item.attrs,
        _ => &[],
    }
}

/// `#[cfg(test)]` and `#[cfg(all(test, …))]`, but not `#[cfg(not(test))]` or `#[cfg(any(test, …))]`.
fn is_for_tests(attribute: &Attribute) -> bool {
    let Meta::List(list) = &attribute.meta else { return false };
    let condition = list.tokens.to_string();
    let condition = condition.strip_prefix("all").map_or(condition.as_str(), str::trim_start);
    let terms = condition.trim_start_matches('(').trim_end_matches(')').split(',');
    list.path.is_ident("cfg") && terms.map(str::trim).any(|term| term == "test")
}
