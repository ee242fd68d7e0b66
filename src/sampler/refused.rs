//! What a sampler says that is not let into the target, and what lets it in.

use procfs::process::Process;
use rustix::process::geteuid;

/// Parts of lines by which samplers say that they may not: perf of old ("You may not have permission to
/// collect stats.") and of today ("Access to performance monitoring and observability operations is
/// limited."), py-spy ("Permission Denied: Try running again …"), and what the system calls errors.
const REFUSALS: [&str; 3] = ["permission", "not permitted", "operations is limited"];
/// Why `program` took no profile: of what it `said` the line that tells.
pub fn cause(program: &str, said: &str) -> String {
    let lines = said.lines().map(str::trim);
    // The first is a heading.
    let lines: Vec<&str> = lines.filter(|line| !["", "; it said:"].contains(line)).collect();
    // The supervisor's word on its end tells little.
    let is_own = |line: &str| line.starts_with("error: ") && line.contains(" ended with ");
    let by_itself = || lines.iter().filter(|line| !is_own(line));
    let is_error = |line: &str| line.to_lowercase().contains("error");
    let line = by_itself()
        .find(|line| is_refusal(line))
        // A heading tells nothing by itself.
        .or_else(|| by_itself().find(|line| is_error(line) && !line.ends_with(':')))
        .or_else(|| by_itself().next_back())
        .or(lines.last());
    format!(
        "{program} took no profile; it said: {}",
        line.unwrap_or(&"nothing").trim_end_matches('.')
    )
}

/// Whether a sampler was told to end before it was ready for that, and brought nothing: on a machine so
/// crowded that it took longer to start than it was to sample.
pub fn was_too_slow(said: &str) -> bool {
    said.contains(" ended with signal: 2 ")
}

/// Whether a sampler says that it may not.
pub fn is_refusal(line: &str) -> bool {
    let line = line.to_lowercase();
    REFUSALS.iter().any(|refusal| line.contains(refusal))
}

/// What lets a sampler into process `pid`: into one of another user's only its user or root may look,
/// whatever the `setting` for one's own.
pub fn allow(pid: u32, setting: Option<&str>, capability: &str) -> String {
    let status = Process::new(pid.cast_signed()).and_then(|process| process.status());
    let in_container = format!("in a container: start it with --cap-add={capability}");
    match (status, setting) {
        (Ok(status), _) if status.euid != geteuid().as_raw() => format!(
            "sudo env \"PATH=$PATH\" gander … (the target is another user's, {}; {in_container})",
            status.euid
        ),
        (_, Some(setting)) => format!("sudo sysctl {setting} ({in_container})"),
        (_, None) => format!("sudo env \"PATH=$PATH\" gander … ({in_container})"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_that_tells_is_found_in_what_the_real_programs_say() {
        // perf 6.1, of a process of another user.
        let perf = "; it said:\n  Error:\n  Access to performance monitoring and observability \
                    operations is limited.\n  Consider adjusting /proc/sys/kernel/perf_event_paranoid \
                    setting to open\n  error: perf record ended with exit status: 255";
        let why = cause("perf", perf);
        assert!(why.ends_with("observability operations is limited") && is_refusal(&why), "{why}");
        // perf 5.4.
        let old = "Error:\nYou may not have permission to collect stats.\n\nConsider tweaking";
        assert!(is_refusal(&cause("perf", old)));
        // py-spy 0.4.3, of one process: of a user who may not read it, and of one who may not trace it.
        let spy = "Error: Failed to get process executable name. Check that the process is running.\n\n\
                   Caused by:\n    0: Permission denied (os error 13)";
        assert!(is_refusal(&cause("py-spy", spy)));
        let spy = "Permission Denied: Try running again with elevated permissions by going 'sudo env \
                   \"PATH=$PATH\" !!'";
        assert!(is_refusal(&cause("py-spy", spy)));
    }

    #[test]
    fn what_is_no_refusal_is_not_taken_for_one() {
        let why =
            cause("py-spy", "Error: No python processes found in process 7\n\nStack backtrace:");
        assert!(why.ends_with("process 7") && !is_refusal(&why), "{why}");
        assert_eq!(cause("perf", ""), "perf took no profile; it said: nothing");
        let why = cause("perf", "; it said:\n  error: perf record ended with signal: 2 (SIGINT)");
        assert!(why.ends_with("signal: 2 (SIGINT)") && was_too_slow(&why), "{why}");
    }
}
