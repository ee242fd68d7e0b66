//! Processors: how many there are, who else uses them, and how steady they are.

use crate::measure::machine::{BoostSwitch, Machine};

use super::Finding;

/// Share of the processors that may be busy with something else before it shows in figures.
const BUSY_SHARE: f64 = 0.10;

pub(super) fn cores(machine: &Machine) -> Finding {
    let found = match machine.processors.usable {
        1 => "1 usable".to_owned(),
        n => format!("{n} usable"),
    };
    match machine.processors.usable {
        0 | 1 => Finding::limits(
            "Processors",
            found,
            "gander and a target on this machine take turns: load the target from another machine",
        ),
        2 => Finding::limits(
            "Processors",
            found,
            "one for gander, one for a target on this machine: a target that uses more meets gander's own work",
        ),
        _ => Finding::good("Processors", found, "gander and a target have processors of their own"),
    }
}

pub(super) fn busy(machine: &Machine) -> Finding {
    let check = "Other work";
    let Some(busy) = machine.processors.busy else {
        return Finding::unknown(check, "whether others disturb a run is not known");
    };
    let found = format!("{busy:.1} processors busy with other work");
    if busy <= BUSY_SHARE * machine.processors.usable.max(1) as f64 {
        return Finding::good(check, found, "nothing else disturbs a run");
    }
    let who = machine
        .processors
        .busiest
        .iter()
        .map(|busy| format!("{} (process {}, {:.1})", busy.name, busy.pid, busy.processors));
    let who: Vec<_> = who.collect();
    let found = match who.is_empty() {
        true => found,
        false => format!("{found}: {}", who.join(", ")),
    };
    Finding::limits(
        check,
        found,
        "latencies and throughput of a run now are also those of that work",
    )
    .mended_by("top   # then end or wait for what is busy")
}

pub(super) fn frequency(machine: &Machine) -> Finding {
    let check = "Frequency";
    let mend = "sudo cpupower frequency-set --governor performance";
    let boost = match machine.processors.boost.map(|boost| boost.is_on) {
        Some(true) => ", boost on",
        Some(false) => ", boost off",
        None => "",
    };
    let boosting = machine.processors.boost.filter(|boost| boost.is_on);
    let steady = "the same work takes the same time, early and late in a run";
    match (machine.processors.governor.as_deref(), machine.processors.is_guest) {
        (Some("performance"), _) => match boosting {
            None => Finding::good(check, format!("governor performance{boost}"), steady),
            Some(boost) => Finding::limits(
                check,
                "governor performance, boost on",
                "runs right after a rest are faster: warm up, and alternate before and after",
            )
            .mended_by(match boost.switch {
                BoostSwitch::Cpufreq => "echo 0 | sudo tee /sys/devices/system/cpu/cpufreq/boost",
                BoostSwitch::IntelPstate => {
                    "echo 1 | sudo tee /sys/devices/system/cpu/intel_pstate/no_turbo"
                }
            }),
        },
        (Some(governor), _) => Finding::limits(
            check,
            format!("governor {governor}{boost}"),
            "processors start slow and speed up under load: the first seconds, and small loads, look slower",
        )
        .mended_by(mend),
        (None, Some(true)) => Finding::limits(
            check,
            "set by the host of this guest",
            "cannot be seen or set here: make runs that are compared alternate",
        ),
        (None, _) => Finding::unknown(check, "the kernel shows no scaling of frequencies: alternate runs that are compared"),
    }
}

pub(super) fn stolen(machine: &Machine) -> Finding {
    let check = "Stolen time";
    match machine.processors.stolen {
        None => Finding::unknown(check, "whether a hypervisor takes time away is not known"),
        Some(share) if share < 0.01 => Finding::good(
            check,
            format!("{:.1}%", share * 100.0),
            "no hypervisor takes processors away",
        ),
        Some(share) => Finding::limits(
            check,
            format!("{:.1}%", share * 100.0),
            "other guests of the host hold gander and the target up; only the host can mend it",
        ),
    }
}
