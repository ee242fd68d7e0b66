//! Which hosts may be loaded: loopback always, anything else only by name.
//!
//! Load on somebody else's machine is an attack. So the guard judges addresses, not spellings:
//! every address that a name resolves to is judged on every new connection, and only addresses
//! that passed are connected to.

use std::collections::HashSet;
use std::net::{IpAddr, SocketAddr};

use url::Host;

use crate::error::Error;

/// Judges addresses.
#[derive(Debug, Clone)]
pub(super) struct Guard {
    names: HashSet<String>,
    addresses: HashSet<IpAddr>,
}

impl Guard {
    /// Allows loopback and `allow_hosts`: names and addresses, in any spelling that a URL may use.
    pub(super) fn new(allow_hosts: &[String]) -> Result<Guard, Error> {
        let mut guard = Guard { names: HashSet::new(), addresses: HashSet::new() };
        for entry in allow_hosts {
            match parse(entry)? {
                Host::Domain(name) => {
                    guard.names.insert(without_root_dot(&name).to_owned());
                }
                Host::Ipv4(address) => {
                    guard.addresses.insert(address.into());
                }
                Host::Ipv6(address) => {
                    guard.addresses.insert(IpAddr::from(address).to_canonical());
                }
            }
        }
        Ok(guard)
    }

    /// Those of `addresses`, which `host` stands for, that may be loaded; the first that may not
    /// be where none is left.
    pub(super) fn allowed(
        &self,
        host: &Host<String>,
        addresses: &[SocketAddr],
    ) -> Result<Vec<SocketAddr>, Refused> {
        let named = match host {
            Host::Domain(name) => self.names.contains(without_root_dot(name)),
            Host::Ipv4(_) | Host::Ipv6(_) => false,
        };
        let allowed: Vec<SocketAddr> =
            addresses.iter().copied().filter(|a| named || self.allows(a.ip())).collect();
        match addresses.first() {
            Some(first) if allowed.is_empty() => Err(Refused(refusal(host, first.ip()))),
            _ => Ok(allowed),
        }
    }

    fn allows(&self, address: IpAddr) -> bool {
        // An IPv4 address in IPv6 clothes reaches the IPv4 host; 0.0.0.0 and :: are not loopback.
        let address = address.to_canonical();
        address.is_loopback() || self.addresses.contains(&address)
    }
}

/// Why a host may not be loaded, and what to do.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct Refused(String);

fn refusal(host: &Host<String>, address: IpAddr) -> String {
    match host {
        Host::Domain(name) => format!(
            "{name} ({address}) is not a loopback address; add --allow-host {name} if you may load it"
        ),
        Host::Ipv4(_) | Host::Ipv6(_) => format!(
            "{address} is not a loopback address; add --allow-host {address} if you may load it"
        ),
    }
}

/// A host as URLs spell it, or an IPv6 address without brackets.
fn parse(entry: &str) -> Result<Host, Error> {
    if let Ok(address) = entry.parse::<std::net::Ipv6Addr>() {
        return Ok(Host::Ipv6(address));
    }
    Host::parse(entry).map_err(|reason| {
        Error::BadInput(format!(
            "--allow-host {entry:?}: {reason}; expected a host name or an address without scheme, \
             port and path, such as example.com or 10.0.0.5"
        ))
    })
}

fn without_root_dot(name: &str) -> &str {
    name.strip_suffix('.').unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judge(allow: &[&str], host: &str, address: &str) -> bool {
        let allow: Vec<String> = allow.iter().map(|&entry| entry.to_owned()).collect();
        let host = Host::parse(host).unwrap();
        let address = SocketAddr::new(address.parse().unwrap(), 80);
        Guard::new(&allow).unwrap().allowed(&host, &[address]).is_ok()
    }

    #[test]
    fn judges_addresses_and_not_names() {
        for address in ["127.0.0.1", "127.255.255.254", "::1", "::ffff:127.0.0.1"] {
            assert!(judge(&[], "any.example", address), "{address}");
        }
        for address in [
            "0.0.0.0",
            "::",
            "128.0.0.1",
            "10.0.0.1",
            "::ffff:10.0.0.1",
            "::2",
            "fe80::1",
            "::127.0.0.1",
        ] {
            assert!(!judge(&[], "localhost", address), "{address}");
        }
    }

    #[test]
    fn allows_by_name_in_every_spelling() {
        for entry in ["Example.COM", "example.com.", "example.com"] {
            assert!(judge(&[entry], "example.com", "10.0.0.1"), "{entry}");
            assert!(judge(&[entry], "EXAMPLE.com.", "10.0.0.1"), "{entry}");
            assert!(!judge(&[entry], "sub.example.com", "10.0.0.1"), "{entry}");
            assert!(!judge(&[entry], "10.0.0.1", "10.0.0.1"), "{entry}");
        }
        assert!(judge(&["bücher.example"], "xn--bcher-kva.example", "10.0.0.1"));
    }

    #[test]
    fn allows_by_address_whatever_name_led_there() {
        for entry in ["10.0.0.1", "167772161", "0xa.1", "::ffff:10.0.0.1", "[::ffff:a00:1]"] {
            assert!(judge(&[entry], "10.0.0.1", "10.0.0.1"), "{entry}");
            assert!(judge(&[entry], "some.example", "::ffff:10.0.0.1"), "{entry}");
            assert!(!judge(&[entry], "10.0.0.1", "10.0.0.2"), "{entry}");
        }
        assert!(judge(&["0.0.0.0"], "0.0.0.0", "0.0.0.0"));
    }

    #[test]
    fn keeps_only_what_it_allows() {
        let host = Host::parse("mixed.example").unwrap();
        let addresses = ["10.0.0.1:80", "127.0.0.1:80"].map(|a| a.parse().unwrap());
        let allowed = Guard::new(&[]).unwrap().allowed(&host, &addresses).unwrap();
        assert_eq!(allowed, [addresses[1]]);
    }

    #[test]
    fn says_how_to_go_on() {
        let host = Host::parse("api.example").unwrap();
        let address = ["10.0.0.1:80".parse().unwrap()];
        let refused = Guard::new(&[]).unwrap().allowed(&host, &address).unwrap_err();
        assert_eq!(
            refused.to_string(),
            "api.example (10.0.0.1) is not a loopback address; add --allow-host api.example if you \
             may load it"
        );
        let error = Guard::new(&["http://api.example/".to_owned()]).unwrap_err().to_string();
        assert!(error.contains("without scheme"), "{error}");
    }
}
