//! Whose process it is that listens at an address of this machine.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

use procfs::net::{TcpNetEntry, TcpState};
use procfs::process::{FDTarget, Process};

/// The process that answers at the first of `addresses` (those of one name, in the order in which a
/// client tries them) where any does. Of processes that share a socket, as workers that were forked
/// do: the one that the others come from.
///
/// `None` where nobody listens, where we may not see who, and where the system chooses between
/// several for each connection: then none of them is what the load falls on.
pub fn listener(addresses: &[SocketAddr]) -> Option<u32> {
    let listening = listening();
    let sockets = addresses.iter().find_map(|wanted| answering(&listening, *wanted))?;
    let (mut owners, mut seen) = (BTreeMap::new(), Vec::new());
    for process in procfs::process::all_processes().ok()?.flatten() {
        let held = held(&process, &sockets);
        if let (false, Ok(stat)) = (held.is_empty(), process.stat()) {
            owners.insert(process.pid(), stat.ppid);
            seen.extend(held);
        }
    }
    let is_whole = sockets.iter().all(|socket| seen.contains(socket));
    is_whole.then(|| u32::try_from(origin(&owners)?).ok())?
}

/// Where a socket listens, and its inode.
type Listening = (SocketAddr, u64);

fn listening() -> Vec<Listening> {
    // A machine without IPv6 has no second table.
    let tables = [procfs::net::tcp(), procfs::net::tcp6()];
    let entries = tables.into_iter().flatten().flatten();
    let listens = |entry: &TcpNetEntry| entry.state == TcpState::Listen;
    entries.filter(listens).map(|entry| (entry.local_address, entry.inode)).collect()
}

/// The sockets that the system hands a connection to `wanted` to: those that say where they listen
/// most exactly. More than one where they share the address and take turns.
fn answering(listening: &[Listening], wanted: SocketAddr) -> Option<Vec<u64>> {
    let mut exactness: BTreeMap<Exactness, Vec<u64>> = BTreeMap::new();
    for (address, inode) in listening {
        if let Some(how) = matches(*address, wanted) {
            exactness.entry(how).or_default().push(*inode);
        }
    }
    exactness.pop_first().map(|(_, sockets)| sockets)
}

/// How exactly a socket says where it listens; the first is preferred.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Exactness {
    /// At this address.
    Address,
    /// At all addresses of its family.
    Family,
    /// At all addresses: an IPv6 socket takes IPv4 too, where no IPv4 socket does.
    Any,
}

fn matches(listens: SocketAddr, wanted: SocketAddr) -> Option<Exactness> {
    if listens.port() != wanted.port() {
        return None;
    }
    // An IPv6 socket may name an IPv4 address in IPv6's form.
    let (listens, wanted) = (listens.ip().to_canonical(), wanted.ip().to_canonical());
    match (listens, wanted) {
        (listens, wanted) if listens == wanted => Some(Exactness::Address),
        (IpAddr::V4(any), IpAddr::V4(_)) if any.is_unspecified() => Some(Exactness::Family),
        (IpAddr::V6(any), IpAddr::V6(_)) if any.is_unspecified() => Some(Exactness::Family),
        (IpAddr::V6(any), IpAddr::V4(_)) if any.is_unspecified() => Some(Exactness::Any),
        _ => None,
    }
}

/// Those of `sockets` that `process` holds; none where we may not look.
fn held(process: &Process, sockets: &[u64]) -> Vec<u64> {
    let files = process.fd().into_iter().flatten().flatten();
    let inode = |target| match target {
        FDTarget::Socket(inode) => Some(inode),
        _ => None,
    };
    let held = files.filter_map(|file| inode(file.target));
    held.filter(|inode| sockets.contains(inode)).collect()
}

/// The only one of `owners` (process and parent) whose parent is none of them.
fn origin(owners: &BTreeMap<i32, i32>) -> Option<i32> {
    let mut origins = owners.iter().filter(|(_, parent)| !owners.contains_key(parent));
    match (origins.next(), origins.next()) {
        (Some((only, _)), None) => Some(*only),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, TcpListener};

    use super::*;

    fn address(text: &str) -> SocketAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn a_listener_of_this_process_is_found_at_its_own_address_only() {
        let socket = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let bound = socket.local_addr().expect("a bound socket");
        let this = Some(std::process::id());
        assert_eq!(listener(&[bound]), this);
        let mapped = Ipv4Addr::LOCALHOST.to_ipv6_mapped();
        assert_eq!(listener(&[SocketAddr::from((mapped, bound.port()))]), this);
        let other = SocketAddr::from((Ipv4Addr::new(127, 0, 0, 2), bound.port()));
        assert_eq!(listener(&[other]), None, "nobody listens at {other}");
        assert_eq!(listener(&[other, bound]), this, "the first that answers");
    }

    #[test]
    fn the_socket_that_names_its_address_most_exactly_answers() {
        let listening = [
            (address("[::]:80"), 1),
            (address("0.0.0.0:80"), 2),
            (address("127.0.0.1:80"), 3),
            (address("127.0.0.1:81"), 4),
            (address("[::ffff:127.0.0.3]:80"), 5),
        ];
        let answers = |wanted| answering(&listening, address(wanted));
        assert_eq!(answers("127.0.0.1:80"), Some(vec![3]));
        assert_eq!(answers("127.0.0.2:80"), Some(vec![2]));
        assert_eq!(answers("127.0.0.3:80"), Some(vec![5]));
        assert_eq!(answers("[::1]:80"), Some(vec![1]));
        assert_eq!(answers("[::1]:81"), None);
        assert_eq!(answering(&listening[..1], address("127.0.0.1:80")), Some(vec![1]));
        assert_eq!(answering(&listening[1..2], address("[::1]:80")), None);
    }

    #[test]
    fn forked_workers_come_from_one_process_and_separate_ones_do_not() {
        assert_eq!(origin(&BTreeMap::from([(12, 10), (10, 1), (11, 10)])), Some(10));
        assert_eq!(origin(&BTreeMap::from([(11, 10), (12, 10)])), None);
        assert_eq!(origin(&BTreeMap::new()), None);
    }
}
