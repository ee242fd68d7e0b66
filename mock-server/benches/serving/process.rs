//! Servers as processes of their own, so that CPU time and memory are theirs alone.

use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

/// Clock ticks of `/proc/PID/stat` in a second, on every Linux.
const TICKS: f64 = 100.0;

/// A running server; killed when dropped.
pub struct Server {
    pub address: String,
    child: Child,
}

impl Server {
    pub fn llm(settings: &[&str]) -> Server {
        let mut command = Command::new(env!("CARGO_BIN_EXE_mock-server"));
        command.args(["llm", "--port", "0", "--until-stdin-closes"]).args(settings);
        Server::start(command)
    }

    pub fn bare(head: &str, body: &str) -> Server {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["serve-bare", head, body]);
        Server::start(command)
    }

    fn start(mut command: Command) -> Server {
        let mut child =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("it starts");
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let (_, address) = line.trim().split_once("http://").expect("a line with the address");
        Server { address: address.to_owned(), child }
    }

    /// CPU time of all its threads since it began, seconds.
    pub fn cpu_s(&self) -> f64 {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.child.id())).unwrap();
        let (_, fields) = stat.rsplit_once(") ").unwrap();
        let fields: Vec<&str> = fields.split(' ').collect();
        // utime and stime: fields 14 and 15 of the whole line, of which two are cut off.
        let ticks = |index: usize| fields[index].parse::<f64>().unwrap();
        (ticks(11) + ticks(12)) / TICKS
    }

    /// Resident memory, MB.
    pub fn memory_mb(&self) -> f64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        let kb: f64 = line.trim().trim_end_matches(" kB").parse().unwrap();
        kb * 1_024.0 / 1e6
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Both fail if it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
