//! One or several services in one process.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::sync::Arc;

use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::config::{Config, ServiceName};
use crate::ledger::{Ledger, Snapshot};
use crate::{Behaviour, Llm};

/// Where services listen unless it is said.
pub const DEFAULT_HOST: &str = "127.0.0.1";

/// A service that is to be run.
#[derive(Debug, Clone, PartialEq)]
pub struct Post {
    /// Which.
    pub service: ServiceName,
    /// How it behaves.
    pub behaviour: Behaviour,
    /// Where it listens; 0 is any free port.
    pub port: u16,
    /// Whether it calls the llm service among these.
    pub needs_llm: bool,
}

/// Why services cannot be started.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Two services are to listen on one port.
    #[error(
        "{first} and {second} would both listen on port {port}: choose another for one of them"
    )]
    SamePort {
        /// One of them.
        first: ServiceName,
        /// The other.
        second: ServiceName,
        /// The port.
        port: u16,
    },
    /// Another process listens on the port.
    #[error(
        "port {port} on {host} is already in use: stop the program that listens there, \
         or choose another port with --port (0 takes any free one)"
    )]
    PortInUse {
        /// The host asked for.
        host: String,
        /// The port asked for.
        port: u16,
    },
    /// The address cannot be listened on for another reason.
    #[error("cannot listen on {host} port {port}: {source}; check --host and --port")]
    Listen {
        /// The host asked for.
        host: String,
        /// The port asked for.
        port: u16,
        /// What the system said.
        source: io::Error,
    },
}

/// The services that `named` ask for: these, in their order, and behind them the llm service if one
/// of them needs it and it is not named itself. One that is there for others listens on any free
/// port, unless a port is chosen for it.
///
/// # Errors
/// [`Error::SamePort`].
pub fn muster(config: &Config, named: &[ServiceName]) -> Result<Vec<Post>, Error> {
    let mut posts: Vec<Post> = named
        .iter()
        .map(|service| {
            let behaviour = config.behaviour(*service);
            let port = config.ports.get(*service).unwrap_or(service.default_port());
            Post { service: *service, needs_llm: lacks_upstream(&behaviour), behaviour, port }
        })
        .collect();
    let callers: Vec<Behaviour> =
        posts.iter().filter(|post| post.needs_llm).map(|post| post.behaviour.clone()).collect();
    let llm = posts.iter().position(|post| post.service == ServiceName::Llm);
    if !callers.is_empty() {
        let for_callers = |llm: Llm| callers.iter().fold(llm, |llm, caller| llm_for(caller, llm));
        let behaviour = Behaviour::Llm(for_callers(config.llm.clone()));
        match llm {
            Some(llm) => posts[llm].behaviour = behaviour,
            None => posts.push(Post {
                service: ServiceName::Llm,
                behaviour,
                port: config.ports.get(ServiceName::Llm).unwrap_or(0),
                needs_llm: false,
            }),
        }
    }
    for (at, post) in posts.iter().enumerate() {
        let twin = posts[..at].iter().find(|other| post.port != 0 && other.port == post.port);
        if let Some(twin) = twin {
            let (first, second) = (twin.service, post.service);
            return Err(Error::SamePort { first, second, port: post.port });
        }
    }
    Ok(posts)
}

/// The llm service as `caller` needs it. What its own settings say of a kind of prompt goes first.
fn llm_for(caller: &Behaviour, mut llm: Llm) -> Llm {
    if let Behaviour::Ensemble(ensemble) = caller {
        llm.kinds.extend(ensemble.prompt_kinds());
    }
    llm
}

/// Whether a service is to call another, and it is not said which.
fn lacks_upstream(behaviour: &Behaviour) -> bool {
    match behaviour {
        Behaviour::Inference(_) | Behaviour::Llm(_) => false,
        Behaviour::MultiQuery(behaviour) => behaviour.upstream.endpoint.is_none(),
        Behaviour::Ensemble(behaviour) => behaviour.upstream.endpoint.is_none(),
    }
}

/// Services whose ports are theirs, so that connections wait for them, and which do not run yet.
#[derive(Debug)]
pub struct Fleet {
    ships: Vec<Ship>,
}

#[derive(Debug)]
struct Ship {
    post: Post,
    listener: TcpListener,
    address: SocketAddr,
    ledger: Arc<Ledger>,
}

impl Fleet {
    /// Takes the ports of all services, or of none, and tells each that calls another where that is.
    ///
    /// # Errors
    /// One of the ports cannot be had.
    pub fn bind(host: &str, posts: Vec<Post>) -> Result<Fleet, Error> {
        let ships = posts.into_iter().map(|post| {
            let (listener, address) = bind(host, post.port)?;
            let ledger = Ledger::new(post.service.as_str());
            Ok(Ship { post, listener, address, ledger })
        });
        let mut ships: Vec<Ship> = ships.collect::<Result<_, Error>>()?;
        let llm = ships.iter().find(|ship| ship.post.service == ServiceName::Llm);
        let llm = llm.map(|ship| format!("http://{}", reachable(ship.address)));
        for ship in ships.iter_mut().filter(|ship| ship.post.needs_llm) {
            match &mut ship.post.behaviour {
                Behaviour::MultiQuery(behaviour) => behaviour.upstream.endpoint.clone_from(&llm),
                Behaviour::Ensemble(behaviour) => behaviour.upstream.endpoint.clone_from(&llm),
                Behaviour::Inference(_) | Behaviour::Llm(_) => {}
            }
        }
        Ok(Fleet { ships })
    }

    /// The services and where they listen.
    pub fn addresses(&self) -> Vec<(ServiceName, SocketAddr)> {
        self.ships.iter().map(|ship| (ship.post.service, ship.address)).collect()
    }

    /// The ledgers, to be read while the services run.
    pub(crate) fn ledgers(&self) -> Vec<(ServiceName, Arc<Ledger>)> {
        self.ships.iter().map(|ship| (ship.post.service, Arc::clone(&ship.ledger))).collect()
    }

    /// Runs all services until `shutdown` is cancelled, or one of them cannot run, and returns their
    /// ledgers at the end, in the order of [`addresses`](Fleet::addresses). A service that others
    /// call goes on until these have ended.
    ///
    /// # Errors
    /// A service could not be started; the others have been stopped then.
    pub async fn run(self, shutdown: CancellationToken) -> io::Result<Vec<Snapshot>> {
        let callers = self.ships.iter().filter(|ship| ship.post.needs_llm).count();
        let ledgers: Vec<Arc<Ledger>> =
            self.ships.iter().map(|ship| Arc::clone(&ship.ledger)).collect();
        let uncalled = CancellationToken::new();
        let mut running = JoinSet::new();
        for Ship { post, listener, ledger, .. } in self.ships {
            let listener = tokio::net::TcpListener::from_std(listener)?;
            let is_called = callers > 0 && post.service == ServiceName::Llm;
            let ends = if is_called { &uncalled } else { &shutdown }.clone();
            let all = shutdown.clone();
            running.spawn(async move {
                let ended = crate::run_with(&ledger, listener, ends, post.behaviour).await;
                // One that could not be started ends the others.
                all.cancel();
                (post.needs_llm, ended)
            });
        }
        let (mut outcome, mut callers) = (Ok(()), callers);
        while let Some(ended) = running.join_next().await {
            let (was_caller, ended) = ended.map_err(io::Error::other)?;
            outcome = outcome.and(ended);
            callers -= usize::from(was_caller);
            if callers == 0 {
                uncalled.cancel();
            }
        }
        outcome.map(|()| ledgers.iter().map(|ledger| ledger.snapshot()).collect())
    }
}

/// A listener of the standard library: its queue of connections not yet accepted is as long as the
/// system allows, so that thousands of clients can connect at once.
fn bind(host: &str, port: u16) -> Result<(TcpListener, SocketAddr), Error> {
    let failed = |source: io::Error| {
        let host = host.to_owned();
        match source.kind() {
            io::ErrorKind::AddrInUse => Error::PortInUse { host, port },
            _ => Error::Listen { host, port, source },
        }
    };
    let listener = TcpListener::bind((host, port)).map_err(failed)?;
    listener.set_nonblocking(true).map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    Ok((listener, address))
}

/// Where a service that listens at `address` can be reached from this machine.
pub(crate) fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}
