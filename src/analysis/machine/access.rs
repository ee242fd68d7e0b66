//! What may look into processes: samplers, counters, other processes' figures.

use crate::measure::machine::{Access, DID_NOT_END, Perf};

use super::{Finding, State};

/// `perf_event_paranoid` up to which a user without privileges may sample a process with its kernel
/// side; one more, and only the user side can be seen.
const PARANOID_KERNEL: i32 = 1;
const PARANOID_USER: i32 = 2;

pub(super) fn perf(perf: &Perf, access: &Access) -> Finding {
    let check = "perf";
    let Some(version) = &perf.version else {
        return Finding::new(
            check,
            State::Missing,
            "not installed",
            "native targets cannot be profiled; gander and its reference services can",
        )
        .mended_by("sudo apt-get install linux-perf   # or linux-tools-generic");
    };
    let paranoid = match perf.paranoid {
        Some(level) => format!("perf_event_paranoid {level}"),
        None => "perf_event_paranoid unknown".to_owned(),
    };
    let found = format!("{version}, {paranoid}");
    match &perf.record {
        None => Finding::unknown(check, "whether native targets can be profiled was not tried"),
        Some(Err(why)) => Finding {
            mend: Some(mend_of_record(perf, access, why).to_owned()),
            ..Finding::limits(
                check,
                format!("{found}; a record of gander itself failed: {why}"),
                "native targets cannot be profiled",
            )
        },
        // It is let in, and sees nothing: that no setting mends.
        Some(Ok(0)) => Finding::limits(
            check,
            format!("{found}; a record of gander itself holds no sample"),
            "profiles of native targets would be empty; the machine was too busy, or its kernel has no clock for perf",
        ),
        Some(Ok(samples)) => Finding::good(
            check,
            format!("{found}; {samples} samples of gander itself"),
            match perf.paranoid {
                Some(level) if level >= PARANOID_USER => {
                    "native targets can be profiled; the kernel's part only as root"
                }
                Some(PARANOID_KERNEL) | Some(_) | None => "native targets can be profiled",
            },
        ),
    }
}

/// What lets perf in. Where the kernel's own setting does not keep it out, a container's filter of system
/// calls does, or perf is not that of this kernel.
fn mend_of_record(perf: &Perf, access: &Access, why: &str) -> &'static str {
    let is_kept_out = perf.paranoid.is_some_and(|level| level > PARANOID_KERNEL);
    match is_kept_out && !access.is_root && why != DID_NOT_END {
        true => {
            "sudo sysctl -w kernel.perf_event_paranoid=1   # in a container also: --cap-add=PERFMON"
        }
        false => "perf record -e cpu-clock sleep 1   # says why; in a container: --cap-add=PERFMON",
    }
}

pub(super) fn counters(perf: &Perf, is_guest: Option<bool>) -> Finding {
    let check = "Hardware counters";
    match perf.hardware_counters {
        None => {
            Finding::unknown(check, "whether cycles and cache misses can be counted is not known")
        }
        Some(true) => Finding::good(check, "there", "perf may sample by cycles"),
        Some(false) => Finding::new(
            check,
            State::Missing,
            match is_guest {
                Some(true) => "absent, as in most guests; nothing here mends it",
                _ => "absent",
            },
            "perf samples by time, which gander uses anyway; no cycles, no cache misses",
        ),
    }
}

pub(super) fn ptrace(access: &Access) -> Finding {
    let check = "ptrace";
    let scope = match access.ptrace_scope {
        None => "no Yama".to_owned(),
        Some(scope) => format!("ptrace_scope {scope}"),
    };
    let may = access.is_root || access.may_trace == Some(true);
    let who = match (access.is_root, access.may_trace) {
        (true, Some(false)) => "root without CAP_SYS_PTRACE",
        (true, _) => "root",
        (false, Some(true)) => "CAP_SYS_PTRACE",
        (false, Some(false)) => "without privileges",
        (false, None) => "privileges unknown",
    };
    let found = format!("{who}, {scope}");
    let relax = "sudo sysctl -w kernel.yama.ptrace_scope=0";
    let nobody = "py-spy cannot look into any process";
    match access.ptrace_scope {
        // Yama asks for the capability, and root is not enough. py-spy is started beside the target, and
        // is none of its ancestors.
        Some(1 | 2) if !may => {
            Finding::limits(check, found, nobody).mended_by(relax)
        }
        Some(1 | 2) if access.may_trace == Some(false) => {
            Finding::limits(check, found, nobody).mended_by("docker run --cap-add SYS_PTRACE …")
        }
        _ if access.may_trace == Some(false) && access.is_root => Finding::limits(
            check,
            found,
            "py-spy sees no process of another user",
        )
        .mended_by("docker run --cap-add SYS_PTRACE …"),
        Some(3) => Finding::limits(check, found, "nobody may look into processes until a restart: py-spy cannot work")
            .mended_by("echo kernel.yama.ptrace_scope=0 | sudo tee /etc/sysctl.d/10-ptrace.conf   # and restart"),
        _ if may => Finding::good(check, found, "py-spy can look into every process"),
        None | Some(0) => Finding::good(check, found, "py-spy can look into processes of the same user"),
        Some(_) => Finding::limits(check, found, nobody).mended_by(relax),
    }
}

pub(super) fn py_spy(access: &Access) -> Finding {
    match &access.py_spy {
        Some(version) => Finding::good("py-spy", version.as_str(), "Python targets can be profiled, as far as ptrace allows"),
        None => Finding::new(
            "py-spy",
            State::Missing,
            "not installed",
            "Python targets are profiled only where --sampler perf is given, which sees the interpreter and not the program",
        )
        .mended_by("pipx install py-spy   # or: pip install py-spy"),
    }
}

pub(super) fn others(access: &Access) -> Finding {
    let check = "Other processes";
    match access.readable {
        None => Finding::unknown(check, "whether files and sockets of a target can be counted is not known"),
        Some((_, 0)) => Finding::good(check, "all processes are gander's own user's", "files and sockets of targets can be counted"),
        Some((readable, all)) if readable == all => Finding::good(
            check,
            format!("all {all} of other users can be read"),
            "files and sockets of every target can be counted",
        ),
        Some((readable, all)) => Finding::limits(
            check,
            format!("{readable} of {all} of other users can be read"),
            "open files and sockets of a target of another user are not measured; CPU and memory are",
        )
        .mended_by("sudo -E gander …, or run gander as the target's user"),
    }
}
