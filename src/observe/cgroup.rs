//! Limits of control groups, of both versions.

use std::fs::read_to_string;
use std::path::{Path, PathBuf};

use crate::measure::resource::Limits;

/// Where the system shows its control groups.
const ROOT: &str = "/sys/fs/cgroup";
/// Larger limits of memory are none: version 1 writes the largest number there is.
const UNLIMITED: u64 = 1 << 60;

/// The control groups that a process is in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Groups {
    root: PathBuf,
    /// Controllers (none in version 2) and the path of the group, as `/proc/PID/cgroup` has them.
    groups: Vec<(Vec<String>, PathBuf)>,
}

impl Groups {
    /// Those of a process; `None` where it is gone, or this system has no such groups.
    pub fn of(pid: u32) -> Option<Groups> {
        Some(Groups::read(Path::new(ROOT), &read_to_string(format!("/proc/{pid}/cgroup")).ok()?))
    }

    /// Those that `text`, in the form of `/proc/PID/cgroup`, names below `root`.
    fn read(root: &Path, text: &str) -> Groups {
        let group = |line: &str| {
            let mut parts = line.splitn(3, ':').skip(1);
            let controllers = parts.next()?.split(',').filter(|name| !name.is_empty());
            let path = Path::new(parts.next()?.trim_start_matches('/')).to_owned();
            Some((controllers.map(str::to_owned).collect(), path))
        };
        Groups { root: root.to_owned(), groups: text.lines().filter_map(group).collect() }
    }

    /// The tightest limits of the groups and of those they are in. Affinity and a limit of open files
    /// are none of theirs.
    pub fn limits(&self) -> Limits {
        let number = |text: &str| text.trim().parse::<u64>().ok().filter(|n| *n < UNLIMITED);
        let cpus = self.folders("cpu").filter_map(|folder| {
            let (quota, period) = match read_to_string(folder.join("cpu.max")) {
                Ok(both) => {
                    let (quota, period) = both.trim().split_once(' ')?;
                    (number(quota)?, number(period)?)
                }
                Err(_) => {
                    let of = |name| number(&read_to_string(folder.join(name)).ok()?);
                    (of("cpu.cfs_quota_us")?, of("cpu.cfs_period_us")?)
                }
            };
            (period > 0).then(|| quota as f64 / period as f64)
        });
        let least = |controller: &str, names: [&str; 2]| {
            let folders = self.folders(controller).flat_map(|folder| names.map(|n| folder.join(n)));
            folders.filter_map(|file| number(&read_to_string(file).ok()?)).min()
        };
        Limits {
            cpus: cpus.reduce(f64::min),
            memory_bytes: least("memory", ["memory.max", "memory.limit_in_bytes"]),
            threads: least("pids", ["pids.max", "pids.max"]),
            affinity: None,
            open_files: None,
        }
    }

    /// Time in which the group was not let run since it was made, in seconds.
    pub fn throttled_seconds(&self) -> Option<f64> {
        let stat = |folder: PathBuf| read_to_string(folder.join("cpu.stat")).ok();
        let value = |text: &str| {
            text.lines().find_map(|line| match line.split_once(' ')? {
                ("throttled_usec", us) => Some(us.trim().parse::<f64>().ok()? / 1e6),
                ("throttled_time", ns) => Some(ns.trim().parse::<f64>().ok()? / 1e9),
                _ => None,
            })
        };
        self.folders("cpu").filter_map(stat).find_map(|text| value(&text))
    }

    /// Folders of the group that has `controller`, and of those it is in, the innermost first. The
    /// path may be one of another namespace: then only its ends from the root are there.
    fn folders(&self, controller: &str) -> impl Iterator<Item = PathBuf> {
        let has = |names: &[String]| names.iter().any(|name| name == controller);
        let of = |is_wanted: &dyn Fn(&[String]) -> bool| {
            self.groups.iter().find(|(names, _)| is_wanted(names)).cloned()
        };
        // Of a system that has both versions, a controller is in one of them.
        let found = of(&|names| has(names)).or_else(|| of(&<[String]>::is_empty));
        found.into_iter().flat_map(|(names, path)| {
            let mount = match names.is_empty() {
                true => self.root.clone(),
                false => self.mount(&names, controller),
            };
            path.ancestors().map(|part| mount.join(part)).collect::<Vec<_>>()
        })
    }

    fn mount(&self, names: &[String], controller: &str) -> PathBuf {
        let together = self.root.join(names.join(","));
        if together.exists() { together } else { self.root.join(controller) }
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{create_dir_all, write};

    use super::*;

    fn put(root: &Path, files: &[(&str, &str)]) {
        for (name, text) in files {
            let file = root.join(name);
            create_dir_all(file.parent().unwrap()).unwrap();
            write(file, text).unwrap();
        }
    }

    #[test]
    fn version_two_has_the_tightest_limit_of_the_way_up() {
        let root = tempfile::tempdir().unwrap();
        put(
            root.path(),
            &[
                ("pod/cpu.max", "50000 100000\n"),
                ("pod/one/cpu.max", "max 100000\n"),
                ("pod/memory.max", "max\n"),
                ("pod/one/memory.max", "805306368\n"),
                ("pod/one/pids.max", "max\n"),
                ("pod/one/cpu.stat", "usage_usec 900\nthrottled_usec 2500000\n"),
            ],
        );
        let groups = Groups::read(root.path(), "0::/pod/one\n");
        let limits = groups.limits();
        assert_eq!(
            (limits.cpus, limits.memory_bytes, limits.threads),
            (Some(0.5), Some(768 << 20), None)
        );
        assert_eq!(groups.throttled_seconds(), Some(2.5));
    }

    #[test]
    fn version_one_has_a_tree_for_each_controller() {
        let root = tempfile::tempdir().unwrap();
        put(
            root.path(),
            &[
                ("cpu,cpuacct/a/cpu.cfs_quota_us", "75000\n"),
                ("cpu,cpuacct/a/cpu.cfs_period_us", "100000\n"),
                ("cpu,cpuacct/cpu.cfs_quota_us", "-1\n"),
                ("cpu,cpuacct/a/cpu.stat", "nr_throttled 3\nthrottled_time 1500000000\n"),
                ("memory/b/memory.limit_in_bytes", "9223372036854771712\n"),
                ("pids/pids.max", "4194304\n"),
            ],
        );
        let groups = Groups::read(root.path(), "4:memory:/b\n3:pids:/\n2:cpu,cpuacct:/a\n0::/\n");
        let limits = groups.limits();
        assert_eq!(
            (limits.cpus, limits.memory_bytes, limits.threads),
            (Some(0.75), None, Some(4194304))
        );
        assert_eq!(groups.throttled_seconds(), Some(1.5));
    }

    #[test]
    fn where_there_are_no_groups_nothing_is_limited() {
        let root = tempfile::tempdir().unwrap();
        let groups = Groups::read(root.path(), "");
        assert_eq!(groups.limits(), Limits::default());
        assert_eq!(groups.throttled_seconds(), None);
    }
}
