//! The command line of gander: parse, dispatch, exit code.

fn main() {}
