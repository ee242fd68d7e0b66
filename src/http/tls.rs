//! TLS on rustls: certificates are verified unless that is waived, and every connection makes a full
//! handshake.

use std::io;
use std::path::Path;
use std::sync::Arc;

use rustls::client::Resumption;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{
    AlertDescription, CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore,
    SignatureScheme,
};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use url::Host;

use super::failure::{Failure, reason};
use super::target::{HttpOptions, HttpVersion};
use crate::error::Error;
use crate::measure::sample::Outcome;

/// Names of protocols in the handshake (RFC 7301).
const HTTP1: &[u8] = b"http/1.1";
pub(super) const HTTP2: &[u8] = b"h2";

/// Makes TLS connections to one host.
#[derive(Clone)]
pub(super) struct Tls {
    connector: TlsConnector,
    name: ServerName<'static>,
    version: HttpVersion,
}

impl std::fmt::Debug for Tls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tls").field("name", &self.name).finish_non_exhaustive()
    }
}

impl Tls {
    /// Trusts the system's authorities, and those in the CA file (PEM); or anyone, if `insecure`.
    pub(super) fn new(host: &Host<String>, options: &HttpOptions) -> Result<Tls, Error> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let schemes = provider.signature_verification_algorithms.supported_schemes();
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| Error::CannotRun(format!("TLS cannot be set up: {error}")))?;
        let config = if options.insecure {
            config.dangerous().with_custom_certificate_verifier(Arc::new(AcceptAll { schemes }))
        } else {
            config.with_root_certificates(roots(options.ca_file.as_deref())?)
        };
        let mut config = config.with_no_client_auth();
        let protocol = match options.version {
            HttpVersion::Http1 => HTTP1,
            HttpVersion::Http2 => HTTP2,
        };
        config.alpn_protocols = vec![protocol.to_vec()];
        // Users are different clients: none continues the session of another.
        config.resumption = Resumption::disabled();
        let name = match host {
            Host::Domain(name) => ServerName::try_from(name.clone()).map_err(|_| {
                Error::BadInput(format!("the target's host {name:?} is not a valid name for TLS"))
            })?,
            Host::Ipv4(address) => ServerName::from(std::net::IpAddr::from(*address)),
            Host::Ipv6(address) => ServerName::from(std::net::IpAddr::from(*address)),
        };
        Ok(Tls { connector: TlsConnector::from(Arc::new(config)), name, version: options.version })
    }

    /// The handshake over `tcp`.
    pub(super) async fn handshake(&self, tcp: TcpStream) -> Result<TlsStream<TcpStream>, Failure> {
        self.connector.connect(self.name.clone(), tcp).await.map_err(|error| {
            if is_no_common_protocol(&error) {
                return not_agreed(self.version);
            }
            Failure::client_resource(&error).unwrap_or_else(|| {
                let message = refusal(&error).unwrap_or_else(|| {
                    format!("TLS handshake: {}; does the service speak TLS?", reason(&error))
                });
                Failure::new(Outcome::Connect, message)
            })
        })
    }
}

/// The handshake did not lead to the HTTP that is wanted.
pub(super) fn not_agreed(wanted: HttpVersion) -> Failure {
    let message = match wanted {
        HttpVersion::Http1 => "the service does not speak HTTP/1.1 over TLS; try --http2",
        HttpVersion::Http2 => {
            "the service does not offer HTTP/2 in the TLS handshake, so it speaks HTTP/1.1 only; \
             leave out --http2"
        }
    };
    Failure::new(Outcome::Connect, message)
}

fn is_no_common_protocol(error: &io::Error) -> bool {
    let error = error.get_ref().and_then(|error| error.downcast_ref::<rustls::Error>());
    matches!(error, Some(rustls::Error::AlertReceived(AlertDescription::NoApplicationProtocol)))
}

/// Takes any certificate, and any signature with it: for `--insecure` alone.
#[derive(Debug)]
struct AcceptAll {
    schemes: Vec<SignatureScheme>,
}

impl ServerCertVerifier for AcceptAll {
    fn verify_server_cert(
        &self,
        _certificate: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.schemes.clone()
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
            "no certificate authorities found on this system; name a PEM file of them with --ca-file, or accept any certificate with --insecure".to_owned(),
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
            "give the authority's certificate with --ca-file, or accept any with --insecure",
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
