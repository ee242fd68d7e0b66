//! TCP sockets of processes by state.

use std::collections::{BTreeMap, BTreeSet};

use procfs::net::TcpState;
use procfs::process::Process;

use crate::measure::resource::TcpSockets;

/// The states of `held` (inodes of sockets), in the tables of the network that `pid` sees. A socket
/// that is in no table is none of TCP's. `None` where the tables may not be read.
pub fn states(pid: u32, held: &BTreeSet<u64>) -> Option<TcpSockets> {
    let process = Process::new(pid as i32).ok()?;
    // A machine without IPv6 has no second table.
    let entries = process.tcp().ok()?.into_iter().chain(process.tcp6().into_iter().flatten());
    let states: BTreeMap<u64, TcpState> = entries.map(|e| (e.inode, e.state)).collect();
    let mut sum = TcpSockets::default();
    for state in held.iter().filter_map(|inode| states.get(inode)) {
        let count = match state {
            TcpState::Established => &mut sum.established,
            TcpState::CloseWait => &mut sum.close_wait,
            TcpState::Listen => &mut sum.listening,
            _ => &mut sum.other,
        };
        *count += 1;
    }
    Some(sum)
}
