//! What a process is, and which programs are there to look into it.

use std::env;
use std::path::PathBuf;

use procfs::process::Process;

/// The program `name` in `PATH`.
pub fn program(name: &str) -> Option<String> {
    let folders = env::var_os("PATH").unwrap_or_default();
    let file = env::split_paths(&folders).map(|folder| folder.join(name)).find(|f| f.is_file())?;
    Some(file.to_str()?.to_owned())
}

/// Whether process `pid` is a Python interpreter.
pub fn is_python(pid: u32) -> bool {
    let Ok(process) = Process::new(pid.cast_signed()) else { return false };
    let begun_with = process.cmdline().ok().and_then(|words| words.into_iter().next());
    // The link is the program itself; where it may not be read, the command line must do.
    process.exe().ok().or(begun_with.map(PathBuf::from)).is_some_and(|program| {
        program.file_name().is_some_and(|name| name.to_string_lossy().starts_with("python"))
    })
}

/// Whether the first thread of `pid` is stopped by whoever traces it.
pub fn is_stopped(pid: u32) -> bool {
    let stat = Process::new(pid.cast_signed()).and_then(|process| process.stat());
    stat.is_ok_and(|stat| matches!(stat.state, 't' | 'T'))
}
