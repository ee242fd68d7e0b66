//! How many connections there may be: files, ports, queues, loopback.

use crate::measure::machine::{Files, Network};

use super::{Finding, OWN_FILES, State};

/// Fewer users than this are a small load; a limit below it is one that people meet.
const MANY: u64 = 4_096;

pub(super) fn files(files: Option<Files>) -> Finding {
    let check = "Open files";
    let Some(Files { soft, hard }) = files else {
        return Finding::unknown(check, "how many connections may be open is not known");
    };
    let show = |limit: Option<u64>| limit.map_or("any number".to_owned(), |n| n.to_string());
    let found = format!("{} (soft), {} (hard)", show(soft), show(hard));
    // gander raises the soft limit to the hard one itself.
    let users = hard.map(|hard| hard.saturating_sub(OWN_FILES));
    match users {
        Some(0) => Finding::new(check, State::Prevents, found, "no connection can be opened")
            .mended_by("ulimit -Hn 65536   # as root, in the shell that starts gander"),
        Some(users) if users < MANY => Finding::limits(
            check,
            found,
            format!("at most {users} connections at once, each of a user or a request in flight"),
        )
        .mended_by("ulimit -Hn 65536   # as root, in the shell that starts gander"),
        Some(users) => Finding::good(
            check,
            found,
            format!("up to {users} connections at once; gander raises the soft limit itself"),
        ),
        None => Finding::good(check, found, "as many connections as there are ports"),
    }
}

pub(super) fn ports(network: &Network) -> Finding {
    let check = "Ports";
    let Some((first, last)) = network.ports else {
        return Finding::unknown(
            check,
            "how many connections to one target there may be is not known",
        );
    };
    let number = u64::from(last.saturating_sub(first)) + 1;
    let waiting = match network.reuses_waiting {
        Some(0) => "; ports wait 60 s before they are used again",
        Some(1) => "; waiting ports are used again",
        Some(2) => "; waiting ports are used again on loopback only",
        _ => "",
    };
    let found = format!("{first} to {last}{waiting}");
    let mend = "sudo sysctl -w net.ipv4.ip_local_port_range='1024 65535'";
    match (number < MANY, network.reuses_waiting) {
        (true, _) => Finding::limits(check, found, format!("at most {number} connections at once to one target"))
            .mended_by(mend),
        (false, Some(0)) => Finding::limits(
            check,
            found,
            format!(
                "{number} connections at once to one target, and no more than {} new ones a second where none is kept",
                number / 60
            ),
        )
        .mended_by("sudo sysctl -w net.ipv4.tcp_tw_reuse=1"),
        (false, _) => {
            Finding::good(check, found, format!("up to {number} connections at once to one target"))
        }
    }
}

pub(super) fn backlog(network: &Network) -> Finding {
    let check = "Listen queue";
    match network.backlog {
        None => Finding::unknown(check, "how large a burst of new connections a target here takes is not known"),
        Some(most) if most < 1_024 => Finding::limits(
            check,
            format!("somaxconn {most}"),
            "a burst of more new connections is lost and tried again after 1 s, which looks like latency",
        )
        .mended_by("sudo sysctl -w net.core.somaxconn=4096"),
        Some(most) => Finding::good(
            check,
            format!("somaxconn {most}"),
            "a target here may let that many new connections wait, if it asks for it",
        ),
    }
}

pub(super) fn loopback(network: &Network) -> Finding {
    match network.ipv4_loopback {
        true => Finding::good("IPv4 loopback", "works", "reference services can be started here"),
        false => Finding::new(
            "IPv4 loopback",
            State::Prevents,
            "127.0.0.1 cannot be listened on",
            "no reference service can be started, and no service of this machine reached",
        )
        .mended_by("sudo ip link set lo up"),
    }
}

pub(super) fn loopback_of_six(network: &Network) -> Finding {
    match network.ipv6_loopback {
        true => {
            Finding::good("IPv6 loopback", "works", "services that listen on ::1 can be loaded")
        }
        false => Finding::new(
            "IPv6 loopback",
            State::Missing,
            "::1 cannot be listened on",
            "services that listen on ::1 alone cannot be loaded; all others can",
        )
        .mended_by("sudo sysctl -w net.ipv6.conf.lo.disable_ipv6=0"),
    }
}
