//! Names of frames: one name for one function, whatever line, address, build or type parameter a
//! sampler names besides, so that functions can be counted, and matched between two builds.

use super::Folded;

/// The frame of what a sampler could not name.
pub const UNKNOWN: &str = "[unknown]";
/// The module of native functions of which no file is known.
pub const NATIVE: &str = "[native]";
/// The module of frames that name a process or a thread.
pub const PROCESS: &str = "[process]";

/// The standard library of Rust: told apart by crate only.
const STANDARD: [&str; 3] = ["core", "std", "alloc"];
/// What compilers put behind the names of copies of a function.
const COPIES: [&str; 7] =
    [".llvm.", ".cold", ".isra.", ".part.", ".constprop.", ".lto_priv.", "@@"];
/// Where C and C++ name what is done rather than what is: these signs are no brackets.
const OPERATOR: &str = "operator";

/// The name of the function that `frame` is in, as it is shown and matched:
///
/// - Python `predict (app/main.py:42)` is `predict (app/main.py)`;
/// - Rust `svc::model::tokenize::<u8>::h0123456789abcdef` is `svc::model::tokenize`, a numbered
///   closure is `{closure}`;
/// - Go `main.first[...]` is `main.first`; perf's `f+0x1f`, `f.cold`, `f@@GLIBC` are `f`, and `f_[k]` is `f [kernel]`;
/// - process and thread frames lose their numbers; a bare address is `[unknown]`.
pub fn name(frame: &str) -> String {
    let frame = frame.trim();
    if let Some((kind, title)) = process(frame) {
        return format!("{kind} {title}").trim_end().to_owned();
    }
    if let Some((function, file)) = python(frame) {
        return format!("{function} ({file})");
    }
    let (function, library) = match frame.strip_suffix("_[k]") {
        Some(function) => (function, Some("kernel")),
        None => with_library(frame),
    };
    let function = function.split_once("+0x").map_or(function, |(name, _)| name);
    if function.is_empty() || is_address(function) {
        return library.map_or_else(|| UNKNOWN.to_owned(), |library| format!("[{library}]"));
    }
    let function = without_copy(without_hash(without_copy(function)));
    let bare = without_closure_numbers(&without_generics(function));
    // What is nothing but brackets has no better name than itself.
    let function = if bare.trim().is_empty() { function.to_owned() } else { bare };
    match library {
        Some(library) => format!("{function} [{library}]"),
        None => function,
    }
}

/// The module that `frame` belongs to: of Python the installed package, or the path of one's own file; of
/// Rust and C++ the path before types and function (of Rust's standard library the crate); of Go the
/// package; of other native code the library, or `[native]`.
pub fn module(frame: &str) -> String {
    if process(frame.trim()).is_some() {
        return PROCESS.to_owned();
    }
    let frame = name(frame);
    if let Some((_, file)) = python(&frame) {
        return Some(python_module(file))
            .filter(|name| !name.is_empty())
            .unwrap_or(file)
            .to_owned();
    }
    if frame.starts_with('[') && frame.ends_with(']') {
        return frame;
    }
    let (function, library) = with_library(&frame);
    if let Some(path) = Some(path(function)).filter(|path| is_path(function, path)) {
        return path;
    }
    if let Some(package) = go_package(function) {
        return package.to_owned();
    }
    library.map_or_else(|| NATIVE.to_owned(), str::to_owned)
}

/// Whether `path` is where `function` is: neither nothing, nor half of a pair of brackets.
fn is_path(function: &str, path: &str) -> bool {
    let count = |sign: char| path.matches(sign).count();
    function.contains("::") && !path.trim().is_empty() && count('<') == count('>')
}

/// The same stacks with each frame by its [`name`].
pub fn named(folded: &Folded) -> Folded {
    let mut named = Folded::default();
    for (stack, times) in folded.stacks() {
        named.add(stack.iter().map(|frame| name(frame)).collect(), times);
    }
    named
}

/// py-spy's `process 12:"python app.py"` and `thread (0x7F): "MainThread"`: kind and title.
fn process(frame: &str) -> Option<(&str, &str)> {
    let is_number = |text: &str| text.starts_with(|c: char| c.is_ascii_digit() || c == '(');
    let kinds = ["process", "thread"].into_iter();
    kinds.filter_map(|kind| Some((kind, frame.strip_prefix(kind)?.strip_prefix(' ')?))).find_map(
        |(kind, rest)| {
            let title = rest.split_once(':').map_or("", |(_, title)| title.trim());
            is_number(rest).then_some((kind, title))
        },
    )
}

/// `function (file.py:12)`: function and file, without the line.
fn python(frame: &str) -> Option<(&str, &str)> {
    let (function, place) = frame.strip_suffix(')')?.rsplit_once(" (")?;
    let line = place
        .rsplit_once(':')
        .filter(|(_, line)| !line.is_empty() && line.bytes().all(|digit| digit.is_ascii_digit()));
    let file = line.map_or(place, |(file, _)| file);
    let is_file = line.is_some()
        || file.starts_with('<')
        || [".py", ".pyx", ".pyi", ".so"].iter().any(|ending| file.contains(ending));
    (is_file && !file.is_empty() && !function.is_empty()).then_some((function, file))
}

/// The module of a Python file: of what was installed the package, which stands first below the folder
/// that packages lie in; of one's own code the file's path without its ending, which tells the files of
/// one application apart.
fn python_module(file: &str) -> &str {
    if let Some(frozen) = file.strip_prefix('<') {
        return frozen.trim_start_matches("frozen ").trim_end_matches('>');
    }
    let below = ["site-packages/", "dist-packages/"]
        .iter()
        .find_map(|folder| file.rsplit_once(folder).map(|(_, below)| below))
        .or_else(|| {
            let (_, after) = file.rsplit_once("/python3")?;
            after.split_once('/').map(|(_, below)| below)
        });
    match below {
        Some(below) => without_ending(below.split_once('/').map_or(below, |(package, _)| package)),
        None => without_ending(file.trim_start_matches("./")),
    }
}

/// Without `.py` and its like; of compiled modules without `.cpython-311-x86_64-linux-gnu.so`.
fn without_ending(file: &str) -> &str {
    let name = file.rfind('/').map_or(0, |slash| slash + 1);
    match file[name..].find('.') {
        Some(dot) if dot > 0 => &file[..name + dot],
        _ => file,
    }
}

/// perf's `function [library.so]`, or `[library.so]` alone, for which the function is empty.
fn with_library(frame: &str) -> (&str, Option<&str>) {
    let split = || {
        let (function, library) = frame.strip_suffix(']')?.rsplit_once('[')?;
        let is_parted = function.is_empty() || function.ends_with(' ');
        (is_parted && library != "unknown").then_some((function.trim_end(), library))
    };
    match split() {
        Some((function, library)) => {
            let library = library.rsplit('/').next().unwrap_or(library);
            (function, Some(library))
        }
        None if frame == UNKNOWN => ("", None),
        None => (frame, None),
    }
}

fn is_address(text: &str) -> bool {
    let digits = text.strip_prefix("0x").unwrap_or_default();
    !digits.is_empty() && digits.bytes().all(|digit| digit.is_ascii_hexdigit())
}

fn without_copy(function: &str) -> &str {
    let cut = COPIES.iter().filter_map(|copy| function.find(copy)).min();
    cut.filter(|at| *at > 0).map_or(function, |at| &function[..at])
}

/// Without the hash that Rust's symbols end with.
fn without_hash(function: &str) -> &str {
    match function.rsplit_once("::h") {
        Some((name, hash))
            if hash.len() == 16 && hash.bytes().all(|digit| digit.is_ascii_hexdigit()) =>
        {
            name
        }
        _ => function,
    }
}

/// Without type parameters; `<T as Trait>` at the start of a path stays, without its own. Where
/// brackets do not pair up nothing is taken away.
fn without_generics(function: &str) -> String {
    if function.contains(OPERATOR) {
        return function.to_owned();
    }
    let mut kept = String::with_capacity(function.len());
    // For each open bracket whether it stays.
    let mut open: Vec<bool> = Vec::new();
    let mut before = None;
    for character in function.chars() {
        let is_arrow = character == '>' && before == Some('-');
        let is_kept = open.iter().all(|stays| *stays);
        match character {
            '<' | '[' => {
                let is_path = open.is_empty() && before.is_none();
                open.push(is_path);
                if is_path {
                    kept.push(character);
                } else if is_kept && kept.ends_with("::") {
                    kept.truncate(kept.len() - 2);
                }
            }
            '>' | ']' if !is_arrow => match open.pop() {
                Some(true) if is_kept => kept.push(character),
                Some(_) => {}
                None => return function.to_owned(),
            },
            _ if is_kept => kept.push(character),
            _ => {}
        }
        before = Some(character);
    }
    if open.is_empty() && !kept.is_empty() { kept } else { function.to_owned() }
}

fn without_closure_numbers(function: &str) -> String {
    let mut rest = function;
    let mut kept = String::with_capacity(function.len());
    while let Some((before, after)) = rest.split_once("{closure#") {
        kept.push_str(before);
        kept.push_str("{closure}");
        rest = after.split_once('}').map_or("", |(_, after)| after);
    }
    kept.push_str(rest);
    kept.replace("{{closure}}", "{closure}")
}

/// The path of a Rust or C++ function before its types and its name.
fn path(function: &str) -> String {
    // `<a::B as c::D>::f` belongs to a, `<impl c::D for a::B>::f` to a as well.
    let inner = function.strip_prefix('<').and_then(|rest| rest.split_once('>')).map(|(it, _)| it);
    let whose = match inner {
        Some(inner) => match inner.split_once(" for ") {
            Some((_, whose)) => whose,
            None => inner.split_once(" as ").map_or(inner, |(whose, _)| whose),
        },
        None => function,
    };
    let whose = whose.split_once('(').map_or(whose, |(name, _)| name);
    let segments: Vec<&str> = whose.trim_start_matches(['&', '*']).split("::").collect();
    let is_module = |segment: &&&str| segment.starts_with(|c: char| c.is_lowercase() || c == '_');
    let named = if inner.is_some() { segments.len() } else { segments.len() - 1 };
    let modules: Vec<&str> = segments[..named].iter().take_while(is_module).copied().collect();
    match modules.as_slice() {
        [] => segments.first().map_or(NATIVE, |first| first).to_owned(),
        [library, ..] if STANDARD.contains(library) => (*library).to_owned(),
        modules => modules.join("::"),
    }
}

/// `github.com/a/b.(*T).Method` is of `github.com/a/b`.
fn go_package(function: &str) -> Option<&str> {
    let last = function.rfind('/').map_or(0, |slash| slash + 1);
    let dot = last + function[last..].find('.')?;
    let is_name = |c: char| c.is_alphanumeric() || "_-./~%".contains(c);
    (dot > 0 && function[..dot].chars().all(is_name)).then(|| &function[..dot])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn one_function_has_one_name_and_one_module() {
        let frames = [
            ("predict (app/main.py:42)", "predict (app/main.py)", "app/main"),
            ("load (./app/model.pyx:7)", "load (./app/model.pyx)", "app/model"),
            (
                "f (app/fast.cpython-311-x86_64-linux-gnu.so)",
                "f (app/fast.cpython-311-x86_64-linux-gnu.so)",
                "app/fast",
            ),
            ("<lambda> (<string>:1)", "<lambda> (<string>)", "string"),
            ("f (/v/site-packages/six.py:9)", "f (/v/site-packages/six.py)", "six"),
            ("<module> (run.py)", "<module> (run.py)", "run"),
            (
                "run (/usr/lib/python3.11/site-packages/uvicorn/main.py:8)",
                "run (/usr/lib/python3.11/site-packages/uvicorn/main.py)",
                "uvicorn",
            ),
            (
                "loads (/usr/lib/python3.11/json/decoder.py:3)",
                "loads (/usr/lib/python3.11/json/decoder.py)",
                "json",
            ),
            ("f (/srv/shop/cart.py:3)", "f (/srv/shop/cart.py)", "/srv/shop/cart"),
            (
                "_find (<frozen importlib._bootstrap>:241)",
                "_find (<frozen importlib._bootstrap>)",
                "importlib._bootstrap",
            ),
            ("process 812:\"python app.py\"", "process \"python app.py\"", "[process]"),
            ("thread (0x7F00): \"MainThread\"", "thread \"MainThread\"", "[process]"),
            ("svc::model::tokenize::<u8>::h0123456789abcdef", "svc::model::tokenize", "svc::model"),
            (
                "svc::model::tokenize::h0123456789abcdef.llvm.77",
                "svc::model::tokenize",
                "svc::model",
            ),
            ("svc::serve::{{closure}}", "svc::serve::{closure}", "svc::serve"),
            (
                "svc::serve::{closure#3}::{closure#0}",
                "svc::serve::{closure}::{closure}",
                "svc::serve",
            ),
            (
                "<alloc::vec::Vec<T> as core::iter::Extend<T>>::extend",
                "<alloc::vec::Vec as core::iter::Extend>::extend",
                "alloc",
            ),
            ("core::iter::adapters::map::map_fold", "core::iter::adapters::map::map_fold", "core"),
            ("svc::Engine<T>::embed", "svc::Engine::embed", "svc"),
            ("ns::Net::run(int, char const*)", "ns::Net::run(int, char const*)", "ns"),
            ("main.tokenize", "main.tokenize", "main"),
            ("main.first[...]", "main.first", "main"),
            ("github.com/a/b.(*T).Method", "github.com/a/b.(*T).Method", "github.com/a/b"),
            ("net/http.(*conn).serve", "net/http.(*conn).serve", "net/http"),
            ("memcpy [libc.so.6]", "memcpy [libc.so.6]", "libc.so.6"),
            ("memcpy@@GLIBC_2.14+0x1f [/usr/lib/libc.so.6]", "memcpy [libc.so.6]", "libc.so.6"),
            ("[libc.so.6]", "[libc.so.6]", "[libc.so.6]"),
            ("tokenize.cold", "tokenize", "[native]"),
            ("do_syscall_64_[k]", "do_syscall_64 [kernel]", "kernel"),
            ("[unknown]", "[unknown]", "[unknown]"),
            ("0x55e0c0de", "[unknown]", "[unknown]"),
            ("std::operator<<", "std::operator<<", "std"),
            ("a<b", "a<b", "[native]"),
        ];
        for (frame, expected, of_module) in frames {
            assert_eq!(
                (name(frame).as_str(), module(frame).as_str()),
                (expected, of_module),
                "{frame}"
            );
        }
    }

    proptest! {
        #[test]
        fn every_frame_has_a_name(frame in "[a-zA-Z0-9:<>\\[\\]().+_@ {}#/-]{0,40}|\\PC{0,20}") {
            prop_assert_eq!(name(&frame).is_empty(), false);
            prop_assert_eq!(module(&frame).is_empty(), false);
        }
    }
}
