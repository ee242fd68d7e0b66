//! TLS on rustls: certificates are always verified, and every connection makes a full handshake.

use std::io;
use std::path::Path;
use std::sync::Arc;

use rustls::client::Resumption;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{CertificateError, ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use url::Host;

use super::failure::{Failure, reason};
use crate::error::Error;
use crate::measure::sample::Outcome;

/// Makes TLS connections to one host.
#[derive(Clone)]
pub(super) struct Tls {
    connector: TlsConnector,
    name: ServerName<'static>,
}

impl std::fmt::Debug for Tls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tls").field("name", &self.name).finish_non_exhaustive()
    }
}

impl Tls {
    /// Trusts the system's authorities, and those in `ca_file` (PEM).
    pub(super) fn new(host: &Host<String>, ca_file: Option<&Path>) -> Result<Tls, Error> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| Error::CannotRun(format!("TLS cannot be set up: {error}")))?
            .with_root_certificates(roots(ca_file)?)
            .with_no_client_auth();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        // Users are different clients: none continues the session of another.
        config.resumption = Resumption::disabled();
        let name = match host {
            Host::Domain(name) => ServerName::try_from(name.clone()).map_err(|_| {
                Error::BadInput(format!("the target's host {name:?} is not a valid name for TLS"))
            })?,
            Host::Ipv4(address) => ServerName::from(std::net::IpAddr::from(*address)),
            Host::Ipv6(address) => ServerName::from(std::net::IpAddr::from(*address)),
        };
        Ok(Tls { connector: TlsConnector::from(Arc::new(config)), name })
    }

    /// The handshake over `tcp`.
    pub(super) async fn handshake(&self, tcp: TcpStream) -> Result<TlsStream<TcpStream>, Failure> {
        self.connector.connect(self.name.clone(), tcp).await.map_err(|error| {
            Failure::client_resource(&error).unwrap_or_else(|| {
                let message = refusal(&error).unwrap_or_else(|| {
                    format!("TLS handshake: {}; does the service speak TLS?", reason(&error))
                });
                Failure::new(Outcome::Connect, message)
            })
        })
    }
}

fn roots(ca_file: Option<&Path>) -> Result<RootCertStore, Error> {
    let mut roots = RootCertStore::empty();
    let system = rustls_native_certs::load_native_certs();
    roots.add_parsable_certificates(system.certs);
    if let Some(path) = ca_file {
        let unusable = |reason: String| {
            Error::BadInput(format!(
                "{}: {reason}; expected a PEM file of certificates",
                path.display()
            ))
        };
        let certificates: Vec<CertificateDer<'static>> = CertificateDer::pem_file_iter(path)
            .and_then(Iterator::collect)
            .map_err(|error| unusable(error.to_string()))?;
        if certificates.is_empty() {
            return Err(unusable("no certificate found".to_owned()));
        }
        for certificate in certificates {
            roots.add(certificate).map_err(|error| unusable(error.to_string()))?;
        }
    }
    if roots.is_empty() {
        return Err(Error::BadInput(
            "no certificate authorities found on this system; name a PEM file of them with --ca-file".to_owned(),
        ));
    }
    Ok(roots)
}

/// What TLS found wrong, if it was TLS that failed.
pub(super) fn refusal(error: &io::Error) -> Option<String> {
    let error = error.get_ref()?.downcast_ref::<rustls::Error>()?;
    Some(match error {
        rustls::Error::InvalidCertificate(certificate) => refused_certificate(certificate),
        rustls::Error::InvalidMessage(_) => {
            "the service does not speak TLS; is it http:// rather than https://?".to_owned()
        }
        rustls::Error::AlertReceived(alert) => {
            format!("the service ended the TLS handshake with the alert {alert:?}")
        }
        error => format!("TLS: {error}"),
    })
}

fn refused_certificate(error: &CertificateError) -> String {
    let (what, next) = match error {
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            ("has expired".to_owned(), "renew it")
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            ("is not valid yet".to_owned(), "check the clocks of both machines")
        }
        // A bad signature: an authority of the same name is trusted, with another key.
        CertificateError::UnknownIssuer | CertificateError::BadSignature => (
            "is not signed by an authority that this system trusts".to_owned(),
            "give the authority's certificate with --ca-file",
        ),
        CertificateError::NotValidForName => {
            ("is for another name".to_owned(), "use the name it was made for")
        }
        CertificateError::NotValidForNameContext { expected, presented } => (
            format!("is not for {} but for {}", expected.to_str(), presented.join(", ")),
            "use a name it was made for",
        ),
        other => (format!("was refused ({other})"), "check how it was made"),
    };
    format!("the service's certificate {what}; {next}")
}
