//! Where requests go: shared by all users, prepared once.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::sync::Mutex;
use tokio::time::Instant;
use url::{Host, Url};

use super::failure::Failure;
use super::guard::{Guard, Refused};
use super::http2;
use super::request::Prologue;
use super::stream::Stream;
use super::tls::{self, Tls};
use crate::error::Error;
use crate::measure::sample::Outcome;

/// Largest body that is read unless told otherwise: 64 MiB.
pub const DEFAULT_MAX_BODY: u64 = 64 * 1024 * 1024;
/// A name is resolved at most this often, so that ten thousand users who start at once do not
/// load the resolver.
const RESOLVE_EVERY: Duration = Duration::from_secs(1);
/// Longest time for [`HttpTarget::probe`].
const PROBE_TIMEOUT: Duration = Duration::from_secs(10);

/// What holds for all connections to a target.
#[derive(Debug, Clone)]
pub struct HttpOptions {
    /// Largest body in bytes; a response with a larger one is malformed.
    pub max_body: u64,
    /// Certificates (PEM) that are trusted besides the system's.
    pub ca_file: Option<PathBuf>,
    /// Names and addresses that may be loaded although they are not loopback.
    pub allow_hosts: Vec<String>,
    /// Which HTTP is spoken.
    pub version: HttpVersion,
    /// Connections that all users share; `None` where each has its own.
    pub shared: Option<u32>,
    /// Whether any certificate is accepted.
    pub insecure: bool,
}

/// Which HTTP is spoken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HttpVersion {
    /// HTTP/1.1: one request at a time on a connection.
    #[default]
    Http1,
    /// HTTP/2: many. Agreed on in the TLS handshake, or known beforehand where there is no TLS.
    Http2,
}

impl HttpVersion {
    /// As specifications write it.
    pub fn name(self) -> &'static str {
        match self {
            HttpVersion::Http1 => "HTTP/1.1",
            HttpVersion::Http2 => "HTTP/2",
        }
    }

    /// Whether a connection carries many requests at a time.
    pub fn carries_many(self) -> bool {
        self == HttpVersion::Http2
    }
}

impl Default for HttpOptions {
    fn default() -> Self {
        HttpOptions {
            max_body: DEFAULT_MAX_BODY,
            ca_file: None,
            allow_hosts: Vec::new(),
            version: HttpVersion::default(),
            shared: None,
            insecure: false,
        }
    }
}

/// Where requests go. Made once, shared by all users.
#[derive(Debug)]
pub struct HttpTarget {
    host: Host<String>,
    port: u16,
    authority: String,
    prologue: Prologue,
    tls: Option<Tls>,
    guard: Guard,
    max_body: u64,
    version: HttpVersion,
    shared: Option<u32>,
    resolved: Mutex<Option<Resolved>>,
}

#[derive(Debug)]
struct Resolved {
    at: Instant,
    addresses: Arc<[SocketAddr]>,
}

impl HttpTarget {
    /// A target with base address `url`; its path, if any, comes before the path of every request.
    ///
    /// # Errors
    /// Bad input: a scheme other than `http` and `https`, credentials, a query or a fragment in
    /// the URL, a host that may not be named so, an unusable CA file.
    pub fn new(url: &Url, options: HttpOptions) -> Result<HttpTarget, Error> {
        let bad =
            |what: &str| Err(Error::BadInput(format!("target {}: {what}", without_secrets(url))));
        if !matches!(url.scheme(), "http" | "https") {
            return bad("the scheme is not http or https; write http://HOST:PORT");
        }
        if !url.username().is_empty() || url.password().is_some() {
            return bad(
                "credentials in a URL end up in logs and reports; set an authorization header \
                 from the environment instead",
            );
        }
        if url.query().is_some() || url.fragment().is_some() {
            return bad("a target has no query and no fragment; they belong to a step's path");
        }
        let (Some(host), Some(port)) = (url.host(), url.port_or_known_default()) else {
            return bad("it names no host; write http://HOST:PORT");
        };
        let host = host.to_owned();
        let authority = format!("{host}:{port}");
        let named = match url.port() {
            Some(_) => authority.clone(),
            None => host.to_string(),
        };
        let base_path = url.path().trim_end_matches('/').to_owned();
        let Ok(prologue) = Prologue::new(url.scheme(), &named, base_path) else {
            return bad("its host cannot stand in a request");
        };
        let tls = match url.scheme() {
            "https" => Some(Tls::new(&host, &options)?),
            _ => None,
        };
        Ok(HttpTarget {
            host,
            port,
            authority,
            prologue,
            tls,
            guard: Guard::new(&options.allow_hosts)?,
            max_body: options.max_body,
            version: options.version,
            shared: options.shared,
            resolved: Mutex::new(None),
        })
    }

    /// `HOST:PORT`, for messages.
    pub fn authority(&self) -> &str {
        &self.authority
    }

    /// Checks that the target may be loaded and that a connection can be opened, TLS included; of
    /// HTTP/2 also, that the service speaks it.
    ///
    /// # Errors
    /// In one line that says why: bad input where the host may not be loaded, else it cannot run.
    pub async fn probe(&self) -> Result<(), Error> {
        let open = async {
            let addresses = self.resolve().await.map_err(cannot_run)?;
            let refused = |refused: Refused| Error::BadInput(refused.to_string());
            self.guard.allowed(&self.host, &addresses).map_err(refused)?;
            let tcp = self.connect().await.map_err(cannot_run)?;
            let stream = self.secure(tcp).await.map_err(cannot_run)?;
            match self.version {
                HttpVersion::Http1 => Ok(()),
                HttpVersion::Http2 => http2::probe(stream).await.map_err(cannot_run),
            }
        };
        tokio::time::timeout(PROBE_TIMEOUT, open).await.unwrap_or_else(|_| {
            Err(Error::CannotRun(format!(
                "{} did not accept a connection within {PROBE_TIMEOUT:?}",
                self.authority
            )))
        })
    }

    pub(super) fn prologue(&self) -> &Prologue {
        &self.prologue
    }

    pub(super) fn max_body(&self) -> u64 {
        self.max_body
    }

    pub(super) fn version(&self) -> HttpVersion {
        self.version
    }

    /// Connections for all users together; `None` where each has its own.
    pub(super) fn shared(&self) -> Option<u32> {
        self.shared
    }

    pub(super) fn has_tls(&self) -> bool {
        self.tls.is_some()
    }

    /// Resolves the name, judges its addresses, and connects to the first that answers.
    pub(super) async fn connect(&self) -> Result<TcpStream, Failure> {
        let addresses = self.resolve().await?;
        let allowed = self
            .guard
            .allowed(&self.host, &addresses)
            .map_err(|refused| Failure::new(Outcome::Connect, refused.to_string()))?;
        let mut failed: Option<io::Error> = None;
        for address in allowed {
            match TcpStream::connect(address).await {
                Ok(tcp) => {
                    // Without it a request in two packets may wait for an acknowledgement. A
                    // connection that died meanwhile says so at the first write.
                    let _ = tcp.set_nodelay(true);
                    return Ok(tcp);
                }
                // A machine without IPv6 has no local address for ::1, which says nothing about
                // the service: any other error says more.
                Err(error) => match &failed {
                    Some(first) if first.kind() != io::ErrorKind::AddrNotAvailable => {}
                    _ => failed = Some(error),
                },
            }
        }
        Err(match failed {
            Some(error) => Failure::connect(&self.authority, &error),
            None => unresolved(&self.host, "it has no address"),
        })
    }

    /// The TLS handshake, for an https target; HTTP/2 must be agreed on in it, where it is wanted.
    pub(super) async fn secure(&self, tcp: TcpStream) -> Result<Stream, Failure> {
        match &self.tls {
            None => Ok(Stream::Plain(tcp)),
            Some(tls) => {
                let stream = Stream::Tls(Box::new(tls.handshake(tcp).await?));
                if self.version == HttpVersion::Http2 && stream.agreed() != Some(tls::HTTP2) {
                    return Err(tls::not_agreed(self.version));
                }
                Ok(stream)
            }
        }
    }

    async fn resolve(&self) -> Result<Arc<[SocketAddr]>, Failure> {
        let name = match &self.host {
            Host::Ipv4(address) => return Ok(Arc::new([self.socket((*address).into())])),
            Host::Ipv6(address) => return Ok(Arc::new([self.socket((*address).into())])),
            Host::Domain(name) => name,
        };
        // Held while resolving: those who come meanwhile wait for the same answer.
        let mut resolved = self.resolved.lock().await;
        if let Some(fresh) = resolved.as_ref().filter(|known| known.at.elapsed() < RESOLVE_EVERY) {
            return Ok(fresh.addresses.clone());
        }
        let addresses: Arc<[SocketAddr]> = tokio::net::lookup_host((name.as_str(), self.port))
            .await
            .map_err(|error| {
                Failure::client_resource(&error)
                    .unwrap_or_else(|| unresolved(&self.host, &error.to_string()))
            })?
            .collect();
        *resolved = Some(Resolved { at: Instant::now(), addresses: addresses.clone() });
        Ok(addresses)
    }

    fn socket(&self, address: IpAddr) -> SocketAddr {
        SocketAddr::new(address, self.port)
    }
}

fn unresolved(host: &Host<String>, reason: &str) -> Failure {
    Failure::new(
        Outcome::Connect,
        format!("cannot resolve {host}: {reason}; check the target's host name"),
    )
}

/// For messages: they must not show a password.
fn without_secrets(url: &Url) -> String {
    let mut url = url.clone();
    if url.set_username("").is_ok() {
        // A URL whose username can be set has a password that can be.
        let _ = url.set_password(None);
    }
    url.set_query(None);
    url.to_string()
}

fn cannot_run(failure: Failure) -> Error {
    Error::CannotRun(failure.message)
}
