//! `gander doctor`: facts fed by hand, and the command itself.

use std::process::Command;

use gander::analysis::machine::{Finding, State, judge};
use gander::measure::machine::{
    Access, Boost, BoostSwitch, Busy, ClockFacts, DID_NOT_END, Files, Lateness, Machine, Memory,
    Network, Perf, Processors, Reports,
};
use gander::measure::resource::Limits;
use gander::report::{doctor, terminal};

use crate::gander::{Gander, finished};

/// A machine on which everything can be measured.
fn good() -> Machine {
    Machine {
        processors: Processors {
            usable: 8,
            online: Some(8),
            governor: Some("performance".to_owned()),
            boost: Some(Boost { is_on: false, switch: BoostSwitch::Cpufreq }),
            is_guest: Some(false),
            busy: Some(0.1),
            busiest: Vec::new(),
            stolen: Some(0.0),
        },
        memory: Memory { total: Some(32 << 30), available: Some(20 << 30) },
        groups: Some(Limits::default()),
        files: Some(Files { soft: Some(1_024), hard: Some(1 << 20) }),
        network: Network {
            ports: Some((32_768, 60_999)),
            reuses_waiting: Some(2),
            backlog: Some(4_096),
            ipv4_loopback: true,
            ipv6_loopback: true,
        },
        clock: ClockFacts {
            source: Some("tsc".to_owned()),
            step_ns: Some(20),
            reading_ns: Some(25.0),
            backward: 0,
            timer: Some(Lateness { p50_us: 55.0, max_us: 190.0, timers: 200 }),
        },
        reports: Reports {
            path: "reports".to_owned(),
            free_bytes: Some(100 << 30),
            sync_ms: Some(Ok(1.4)),
        },
        perf: Perf {
            version: Some("perf version 6.1".to_owned()),
            paranoid: Some(1),
            record: Some(Ok(20)),
            hardware_counters: Some(true),
        },
        access: Access {
            is_root: false,
            may_trace: Some(false),
            ptrace_scope: Some(0),
            py_spy: Some("py-spy 0.4.3".to_owned()),
            readable: Some((0, 0)),
        },
    }
}

/// A machine on which nearly nothing is as it should be, and gander can measure all the same.
fn poor() -> Machine {
    Machine {
        processors: Processors {
            usable: 1,
            online: Some(4),
            governor: Some("powersave".to_owned()),
            boost: Some(Boost { is_on: true, switch: BoostSwitch::Cpufreq }),
            is_guest: Some(true),
            busy: Some(0.8),
            busiest: vec![Busy { name: "cc1plus".to_owned(), pid: 41, processors: 0.75 }],
            stolen: Some(0.04),
        },
        memory: Memory { total: Some(1 << 30), available: Some(100 << 20) },
        groups: Some(Limits {
            cpus: Some(0.5),
            memory_bytes: Some(384 << 20),
            threads: Some(32),
            ..Limits::default()
        }),
        files: Some(Files { soft: Some(256), hard: Some(1_024) }),
        network: Network {
            ports: Some((60_000, 60_999)),
            reuses_waiting: Some(0),
            backlog: Some(128),
            ipv4_loopback: true,
            ipv6_loopback: false,
        },
        clock: ClockFacts {
            source: Some("hpet".to_owned()),
            step_ns: Some(70),
            reading_ns: Some(1_400.0),
            backward: 0,
            timer: Some(Lateness { p50_us: 1_900.0, max_us: 12_000.0, timers: 200 }),
        },
        reports: Reports {
            path: "reports".to_owned(),
            free_bytes: Some(200 << 20),
            sync_ms: Some(Ok(900.0)),
        },
        perf: Perf {
            version: None,
            paranoid: Some(4),
            record: None,
            hardware_counters: Some(false),
        },
        access: Access {
            is_root: false,
            may_trace: Some(false),
            ptrace_scope: Some(1),
            py_spy: None,
            readable: Some((0, 212)),
        },
    }
}

fn shown(machine: &Machine) -> String {
    terminal::render(&doctor::build(&judge(machine)), 120, false)
}

/// States by check.
fn state(machine: &Machine, check: &str) -> State {
    judge(machine).into_iter().find(|finding| finding.check == check).unwrap().state
}

#[test]
fn a_machine_that_lacks_nothing() {
    assert!(judge(&good()).iter().all(|f| f.state == State::Good && f.mend.is_none()));
    insta::assert_snapshot!("doctor_good", shown(&good()));
}

#[test]
fn a_machine_that_lacks_nearly_everything() {
    insta::assert_snapshot!("doctor_poor", shown(&poor()));
    // What nobody can mend here has no command: the host's part, and hardware that is not there.
    let findings = judge(&poor());
    let unmended = findings.iter().filter(|f| f.state != State::Good && f.mend.is_none());
    assert_eq!(
        unmended.map(|finding| finding.check).collect::<Vec<_>>(),
        ["Processors", "Stolen time", "Timers", "Hardware counters"]
    );
    assert!(findings.iter().all(|finding| finding.state != State::Prevents));
}

#[test]
fn what_could_not_be_found_out_is_neither_good_nor_in_the_way() {
    let nothing = Machine {
        network: Network { ipv4_loopback: true, ipv6_loopback: true, ..Network::default() },
        processors: Processors { usable: 8, ..Processors::default() },
        ..Machine::default()
    };
    let findings = judge(&nothing);
    let good = findings.iter().filter(|finding| finding.state == State::Good);
    let good: Vec<_> = good.map(|finding| finding.check).collect();
    // Where the kernel has no Yama, nothing restricts who may look into processes.
    assert_eq!(good, ["Processors", "IPv4 loopback", "IPv6 loopback", "ptrace"]);
    assert!(findings.iter().all(|finding| finding.state != State::Prevents));
}

type Change = fn(&mut Machine);

#[test]
fn what_makes_all_measuring_impossible_prevents() {
    let cases: [(&str, Change); 5] = [
        ("Run folders", |m| m.reports.sync_ms = Some(Err("Permission denied".to_owned()))),
        ("Run folders", |m| m.reports.free_bytes = Some(1 << 20)),
        ("IPv4 loopback", |m| m.network.ipv4_loopback = false),
        ("Clock", |m| m.clock.backward = 3),
        ("Open files", |m| m.files = Some(Files { soft: Some(32), hard: Some(32) })),
    ];
    for (check, spoil) in cases {
        let mut machine = good();
        spoil(&mut machine);
        let findings = judge(&machine);
        let prevents: Vec<_> = findings.iter().filter(|f| f.state == State::Prevents).collect();
        assert_eq!(prevents.iter().map(|f| f.check).collect::<Vec<_>>(), [check]);
        assert!(prevents[0].mend.is_some(), "{check} says what mends it");
        assert_eq!(doctor::json(&machine, &findings)["can_measure"], false);
    }
}

#[test]
fn who_may_look_into_processes_follows_from_privileges_and_yama() {
    use State::{Good, Limits};
    for (is_root, may_trace, scope, expected) in [
        (true, Some(true), Some(1), Good),
        (true, Some(false), Some(0), Limits),
        (true, Some(true), Some(3), Limits),
        (false, Some(true), Some(2), Good),
        (false, Some(false), None, Good),
        (false, Some(false), Some(1), Limits),
        (false, Some(false), Some(2), Limits),
    ] {
        let mut machine = good();
        machine.access = Access { is_root, may_trace, ptrace_scope: scope, ..machine.access };
        let found = state(&machine, "ptrace");
        assert_eq!(found, expected, "root {is_root}, capability {may_trace:?}, {scope:?}");
    }
}

/// What was found of one thing.
fn finding(machine: &Machine, check: &str) -> Finding {
    judge(machine).into_iter().find(|finding| finding.check == check).unwrap()
}

#[test]
fn where_yama_asks_for_an_ancestor_py_spy_sees_no_process_at_all() {
    for (is_root, scope) in [(false, 1), (false, 2), (true, 1), (true, 2)] {
        let mut machine = good();
        machine.access.is_root = is_root;
        machine.access.ptrace_scope = Some(scope);
        let found = finding(&machine, "ptrace");
        assert_eq!(found.means, "py-spy cannot look into any process", "{is_root}, {scope}");
        assert!(found.mend.is_some());
    }
}

#[test]
fn a_limit_of_processors_is_seen_although_gander_is_held_to_it() {
    let mut machine = good();
    // What gander may use is what the limit leaves.
    machine.processors.usable = 2;
    machine.groups = Some(Limits { cpus: Some(2.0), ..Limits::default() });
    let found = finding(&machine, "Control group");
    assert_eq!(found.state, State::Limits);
    assert!(found.means.contains("stopped") && found.mend.unwrap().contains("--cpus 0"));
    machine.groups = Some(Limits { cpus: Some(8.0), ..Limits::default() });
    assert_eq!(state(&machine, "Control group"), State::Good);
    // Other limits do other things.
    machine.groups = Some(Limits { memory_bytes: Some(64 << 20), ..Limits::default() });
    let found = finding(&machine, "Control group");
    assert!(found.means.contains("killed") && !found.means.contains("stopped"), "{found:?}");
    machine.groups = Some(Limits { threads: Some(16), ..Limits::default() });
    let found = finding(&machine, "Control group");
    assert!(found.means.contains("started") && !found.means.contains("stopped"), "{found:?}");
}

#[test]
fn each_switch_is_mended_where_it_is() {
    let mend = |switch| {
        let mut machine = good();
        machine.processors.boost = Some(Boost { is_on: true, switch });
        finding(&machine, "Frequency").mend.unwrap()
    };
    let sys = "/sys/devices/system/cpu";
    assert_eq!(mend(BoostSwitch::Cpufreq), format!("echo 0 | sudo tee {sys}/cpufreq/boost"));
    let no_turbo = format!("echo 1 | sudo tee {sys}/intel_pstate/no_turbo");
    assert_eq!(mend(BoostSwitch::IntelPstate), no_turbo);
}

#[test]
fn perf_is_let_in_by_the_setting_only_where_that_keeps_it_out() {
    let relaxes = |is_root, paranoid, why: &str| {
        let mut machine = good();
        machine.access.is_root = is_root;
        machine.perf.paranoid = paranoid;
        machine.perf.record = Some(Err(why.to_owned()));
        finding(&machine, "perf").mend.unwrap().contains("perf_event_paranoid=1")
    };
    let refused = "Access to performance monitoring and observability operations is limited.";
    assert!(relaxes(false, Some(4), refused));
    assert!(!relaxes(false, Some(1), refused), "it is that already");
    assert!(!relaxes(false, None, refused), "it is not known");
    assert!(!relaxes(true, Some(4), refused), "it does not keep root out: a container does");
    assert!(!relaxes(false, Some(4), DID_NOT_END));
}

#[test]
fn the_command_looks_at_this_machine_and_leaves_nothing_behind() {
    let gander = Gander::new();
    let doctor = |reports: &std::path::Path| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_gander"));
        command.args(["doctor", "--format", "json", "--reports"]).arg(reports);
        finished(command)
    };
    let run = doctor(&gander.reports().join("not/there/yet"));
    let found = run.summary();
    assert_eq!((run.code, &found["can_measure"]), (0, &true.into()), "{}", run.stderr);
    assert_eq!(std::fs::read_dir(gander.reports()).unwrap().count(), 0);
    let findings = found["findings"].as_array().unwrap();
    assert!(findings.len() >= 19);
    // Facts that this test can know for itself.
    let cores = std::thread::available_parallelism().unwrap().get();
    assert_eq!(found["machine"]["processors"]["usable"], cores);
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    assert_eq!(found["machine"]["files"]["hard"].as_u64(), limit.maximum);
    assert!(found["machine"]["clock"]["timer"]["p50_us"].as_f64().unwrap() > 0.0);

    // A file stands where the folder would be.
    let file = gander.path("file");
    std::fs::write(&file, "").unwrap();
    let run = doctor(&file);
    assert_eq!((run.code, &run.summary()["can_measure"]), (3, &false.into()));
}
