//! Looks at this machine for `gander doctor`. Nothing is changed, and nothing is left behind.

mod programs;

use std::collections::BTreeMap;
use std::fs::{read_dir, read_to_string};
use std::io::Write as _;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

use procfs::process::{Process, all_processes};
use sysinfo::{MemoryRefreshKind, RefreshKind, System};

use crate::measure::machine::{
    Access, Boost, BoostSwitch, Busy, ClockFacts, Files, Machine, Memory, Network, Perf,
    Processors, Reports,
};
use crate::measure::summary::ms;

use super::cgroup::Groups;

/// For this long the processors are watched.
const WATCH: Duration = Duration::from_millis(500);
/// Processes that keep less than this of a processor busy are not named.
const NAMED_FROM: f64 = 0.05;
/// How many are named.
const NAMED: usize = 3;
/// Readings of the clock.
const READINGS: u32 = 200_000;
/// Bytes that are written to see how fast the disk is, and how often.
const WRITTEN: usize = 64 << 10;
const WRITES: usize = 5;
/// Bit of `CAP_SYS_PTRACE` among the capabilities (`linux/capability.h`).
const CAP_SYS_PTRACE: u32 = 19;

/// Everything that can be seen, with `reports` as the folder for run folders. Takes about a second and
/// a half. The timers are left to whoever has them.
pub fn look(reports: &Path) -> Machine {
    Machine {
        processors: processors(),
        memory: memory(),
        groups: Groups::of(std::process::id()).map(|groups| groups.limits()),
        files: files(),
        network: network(),
        clock: clock(),
        reports: folder(reports),
        perf: perf(),
        access: access(),
    }
}

/// The text of a file of the kernel, without the line's end.
fn value(path: &str) -> Option<String> {
    Some(read_to_string(path).ok()?.trim().to_owned())
}

fn number<T: std::str::FromStr>(path: &str) -> Option<T> {
    value(path)?.parse().ok()
}

fn processors() -> Processors {
    let before = Work::now();
    sleep(WATCH);
    let after = Work::now();
    let frequency = "/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor";
    let mut processors = Processors {
        usable: std::thread::available_parallelism().map_or(1, usize::from),
        online: after.as_ref().map(|work| work.cpus),
        governor: value(frequency),
        boost: boost(),
        is_guest: is_guest(),
        ..Processors::default()
    };
    if let (Some(before), Some(after)) = (before, after) {
        let ticks = |at: fn(&Work) -> u64| at(&after).saturating_sub(at(&before)) as f64;
        let all = ticks(|work| work.busy + work.idle + work.stolen).max(1.0);
        let cpus = after.cpus as f64;
        let own = std::process::id();
        let mut each = after.since(&before, all / cpus);
        let ours: f64 = each.iter().filter(|b| b.pid == own).map(|b| b.processors).sum();
        processors.busy = Some((ticks(|work| work.busy) / all * cpus - ours).max(0.0));
        processors.stolen = Some(ticks(|work| work.stolen) / all);
        each.retain(|busy| busy.pid != own && busy.processors >= NAMED_FROM);
        each.sort_by(|a, b| b.processors.total_cmp(&a.processors));
        each.truncate(NAMED);
        processors.busiest = each;
    }
    processors
}

/// Ticks of the kernel's clock that processors and processes have worked since they began.
struct Work {
    busy: u64,
    idle: u64,
    stolen: u64,
    cpus: usize,
    processes: BTreeMap<i32, (String, u64)>,
}

impl Work {
    /// Up to now; `None` where the kernel does not say.
    fn now() -> Option<Work> {
        let text = read_to_string("/proc/stat").ok()?;
        let of = |line: &str| -> Option<Vec<u64>> {
            line.split_whitespace().skip(1).map(|ticks| ticks.parse().ok()).collect()
        };
        // user nice system idle iowait irq softirq steal, see proc_stat(5).
        let sum = of(text.lines().find(|line| line.starts_with("cpu "))?)?;
        let [user, nice, system, idle, waiting, irq, soft_irq, stolen] = *sum.first_chunk::<8>()?;
        let cpus = text.lines().filter(|line| {
            line.strip_prefix("cpu")
                .is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
        });
        let processes = all_processes().ok()?.filter_map(|process| {
            let stat = process.ok()?.stat().ok()?;
            Some((stat.pid, (stat.comm, stat.utime + stat.stime)))
        });
        Some(Work {
            busy: user + nice + system + irq + soft_irq,
            idle: idle + waiting,
            stolen,
            cpus: cpus.count(),
            processes: processes.collect(),
        })
    }

    /// What each process has worked since `before`, `ticks` of one processor ago.
    fn since(&self, before: &Work, ticks: f64) -> Vec<Busy> {
        let busy = self.processes.iter().filter_map(|(pid, (name, now))| {
            let worked = now.checked_sub(before.processes.get(pid)?.1)?;
            let processors = worked as f64 / ticks;
            Some(Busy { name: name.clone(), pid: u32::try_from(*pid).ok()?, processors })
        });
        busy.collect()
    }
}

fn boost() -> Option<Boost> {
    let of = |switch, is_on| Boost { is_on, switch };
    let boost = number::<u8>("/sys/devices/system/cpu/cpufreq/boost");
    let no_turbo = || number::<u8>("/sys/devices/system/cpu/intel_pstate/no_turbo");
    boost
        .map(|on| of(BoostSwitch::Cpufreq, on == 1))
        .or_else(|| no_turbo().map(|off| of(BoostSwitch::IntelPstate, off == 0)))
}

/// Processors of the x86 kind say it of themselves.
fn is_guest() -> Option<bool> {
    let text = read_to_string("/proc/cpuinfo").ok()?;
    let flags = text.lines().find(|line| line.starts_with("flags"))?;
    Some(flags.split_whitespace().any(|flag| flag == "hypervisor"))
}

fn memory() -> Memory {
    let what = RefreshKind::nothing().with_memory(MemoryRefreshKind::nothing().with_ram());
    match System::new_with_specifics(what) {
        Ok(system) => Memory {
            total: Some(system.total_memory()).filter(|bytes| *bytes > 0),
            available: Some(system.available_memory()).filter(|bytes| *bytes > 0),
        },
        Err(_) => Memory::default(),
    }
}

fn files() -> Option<Files> {
    use rustix::process::{Resource, getrlimit};
    let limit = getrlimit(Resource::Nofile);
    Some(Files { soft: limit.current, hard: limit.maximum })
}

fn network() -> Network {
    let ports = || {
        let text = value("/proc/sys/net/ipv4/ip_local_port_range")?;
        let mut ends = text.split_whitespace().map(str::parse::<u16>);
        Some((ends.next()?.ok()?, ends.next()?.ok()?))
    };
    Network {
        ports: ports(),
        reuses_waiting: number("/proc/sys/net/ipv4/tcp_tw_reuse"),
        backlog: number("/proc/sys/net/core/somaxconn"),
        ipv4_loopback: TcpListener::bind("127.0.0.1:0").is_ok(),
        ipv6_loopback: TcpListener::bind("[::1]:0").is_ok(),
    }
}

fn clock() -> ClockFacts {
    let source = "/sys/devices/system/clocksource/clocksource0/current_clocksource";
    let (begin, mut last, mut step, mut backward) = (now_ns(), now_ns(), u128::MAX, 0);
    for _ in 0..READINGS {
        let now = now_ns();
        match now.cmp(&last) {
            std::cmp::Ordering::Greater => step = step.min(now - last),
            std::cmp::Ordering::Less => backward += 1,
            std::cmp::Ordering::Equal => {}
        }
        last = now;
    }
    ClockFacts {
        source: value(source),
        step_ns: u64::try_from(step).ok().filter(|_| step != u128::MAX),
        reading_ns: Some(last.saturating_sub(begin) as f64 / f64::from(READINGS)),
        backward,
        timer: None,
    }
}

/// The kernel's monotonic clock itself: `Instant` would hide that it went backward.
fn now_ns() -> u128 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    Duration::try_from(now).map_or(0, |now| now.as_nanos())
}

fn folder(path: &Path) -> Reports {
    let shown = path.display().to_string();
    // It may not be there yet; a run would make it where the first part that is there allows it.
    let there = path.ancestors().find(|part| part.exists()).map(Path::to_owned);
    let there = there.unwrap_or_else(|| PathBuf::from("."));
    let free = rustix::fs::statvfs(&there).ok();
    let free_bytes = free.map(|free| free.f_bavail.saturating_mul(free.f_frsize));
    Reports { path: shown, free_bytes, sync_ms: Some(sync(&there).map_err(|e| e.to_string())) }
}

/// The median time in which a file is written and on the disk.
fn sync(folder: &Path) -> std::io::Result<f64> {
    let mut file = tempfile::tempfile_in(folder)?;
    let bytes = vec![0x5a; WRITTEN];
    let mut times = [0.0; WRITES];
    for time in &mut times {
        let begin = Instant::now();
        file.write_all(&bytes)?;
        file.sync_data()?;
        *time = ms(begin.elapsed());
    }
    times.sort_by(f64::total_cmp);
    Ok(times[WRITES / 2])
}

fn perf() -> Perf {
    let version = programs::version("perf");
    let record = version.is_some().then(programs::record_of_itself);
    Perf {
        version,
        paranoid: number("/proc/sys/kernel/perf_event_paranoid"),
        record,
        hardware_counters: counters(),
    }
}

/// Whether the kernel has a driver for the processor's counters.
fn counters() -> Option<bool> {
    let devices = read_dir("/sys/bus/event_source/devices").ok()?;
    let names = devices.filter_map(|device| device.ok()?.file_name().into_string().ok());
    let names: Vec<String> = names.collect();
    Some(names.iter().any(|name| name.starts_with("cpu") || name.starts_with("armv")))
}

fn access() -> Access {
    let status = read_to_string("/proc/self/status").unwrap_or_default();
    let effective = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    let capabilities = effective.and_then(|hex| u64::from_str_radix(hex.trim(), 16).ok());
    Access {
        is_root: rustix::process::geteuid().is_root(),
        may_trace: capabilities.map(|set| set & (1 << CAP_SYS_PTRACE) != 0),
        ptrace_scope: number("/proc/sys/kernel/yama/ptrace_scope"),
        py_spy: programs::version("py-spy"),
        readable: readable(),
    }
}

/// Processes of other users whose open files can be read, and how many there are.
fn readable() -> Option<(usize, usize)> {
    let own = Process::myself().ok()?.uid().ok()?;
    let others = all_processes().ok()?.filter_map(|process| {
        let process = process.ok()?;
        (process.uid().ok()? != own).then(|| process.fd_count().is_ok())
    });
    let others: Vec<bool> = others.collect();
    Some((others.iter().filter(|is| **is).count(), others.len()))
}
