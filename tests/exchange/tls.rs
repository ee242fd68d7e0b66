//! TLS: certificates are judged, and the handshake is timed apart from the connect.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use gander::error::Exit;
use gander::http::{HttpOptions, HttpTarget, HttpVersion};
use gander::measure::sample::Outcome;
use rcgen::{
    BasicConstraints, Certificate, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair,
    date_time_ymd,
};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::scripted::{Client, OK, Peer, serve, whole};

/// An authority, whose certificate lies in a file.
struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    directory: TempDir,
}

impl Authority {
    fn new() -> Authority {
        Authority::named("rcgen self signed cert")
    }

    fn named(name: &str) -> Authority {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("ca.pem"), issuer.pem()).unwrap();
        Authority { issuer, directory }
    }

    fn file(&self) -> PathBuf {
        self.directory.path().join("ca.pem")
    }

    /// A certificate for `names`, changed by `change`.
    fn acceptor(&self, names: &[&str], change: impl Fn(&mut CertificateParams)) -> TlsAcceptor {
        let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
        let mut params = CertificateParams::new(names).unwrap();
        change(&mut params);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        acceptor(&certificate, &key)
    }
}

fn acceptor(certificate: &Certificate, key: &KeyPair) -> TlsAcceptor {
    speaking(certificate, key, &[b"http/1.1"])
}

/// One that offers these protocols in the handshake.
fn speaking(certificate: &Certificate, key: &KeyPair, protocols: &[&[u8]]) -> TlsAcceptor {
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], key)
        .unwrap();
    config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
    TlsAcceptor::from(Arc::new(config))
}

/// Serves `script` over TLS; returns the port.
async fn serve_tls<F, Fut>(acceptor: TlsAcceptor, script: F) -> u16
where
    F: Fn(TlsStream<TcpStream>) -> Fut + Send + 'static,
    Fut: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        loop {
            let (socket, _) = listener.accept().await.unwrap();
            if let Ok(stream) = acceptor.accept(socket).await {
                tokio::spawn(script(stream));
            }
        }
    });
    port
}

/// Answers every request with `reply`, and then closes if `close`.
async fn answer(mut stream: TlsStream<TcpStream>, reply: &str, close: bool) {
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"http/1.1"[..]));
    let mut request = [0; 4096];
    while stream.read(&mut request).await.is_ok_and(|count| count > 0) {
        stream.write_all(reply.as_bytes()).await.unwrap();
        stream.flush().await.unwrap();
        if close {
            // Without a closing alert: that of a cut line.
            return;
        }
    }
}

fn trusting(authority: &Authority) -> HttpOptions {
    HttpOptions { ca_file: Some(authority.file()), ..HttpOptions::default() }
}

#[tokio::test]
async fn accepted_with_the_authority_as_file() {
    let authority = Authority::new();
    let acceptor = authority.acceptor(&["localhost", "127.0.0.1"], |_| ());
    let port = serve_tls(acceptor, |stream| answer(stream, OK, false)).await;
    for host in ["localhost", "127.0.0.1"] {
        let mut client = Client::new(&format!("https://{host}:{port}"), trusting(&authority));
        let first = client.exchange().await;
        whole(&first, 200, "ok");
        let opened = first.connect.unwrap() + first.tls.unwrap();
        assert!(opened <= first.sent.since(first.started), "{first:?}");
        assert_eq!(first.bytes.received, OK.len() as u64);
        let second = client.exchange().await;
        whole(&second, 200, "ok");
        assert_eq!((second.connect, second.tls), (None, None));
    }
    let url = format!("https://localhost:{port}").parse().unwrap();
    HttpTarget::new(&url, trusting(&authority)).unwrap().probe().await.unwrap();
}

#[tokio::test]
async fn large_bodies_pass_both_ways() {
    let authority = Authority::new();
    let acceptor = authority.acceptor(&["localhost"], |_| ());
    let port = serve_tls(acceptor, |mut stream| async move {
        let mut body = vec![0; 3_000_000];
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await.unwrap());
        }
        stream.read_exact(&mut body).await.unwrap();
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 3000000\r\n\r\n").await.unwrap();
        stream.write_all(&body).await.unwrap();
        stream.flush().await.unwrap();
    })
    .await;
    let mut client = Client::new(&format!("https://localhost:{port}"), trusting(&authority));
    client.body = (0..3_000_000).map(|i: u32| (i % 251) as u8).collect();
    let exchange = client.exchange().await;
    assert_eq!(exchange.failure, None);
    assert!(exchange.body == client.body);
}

#[tokio::test]
async fn bad_certificates() {
    let authority = Authority::new();
    let expire: fn(&mut CertificateParams) = expired;
    let postpone: fn(&mut CertificateParams) = |params| {
        params.not_before = date_time_ymd(4000, 1, 1);
        params.not_after = date_time_ymd(4001, 1, 1);
    };
    for (names, change, options, message) in [
        (["localhost"], expire, trusting(&authority), "has expired"),
        (["localhost"], postpone, trusting(&authority), "is not valid yet"),
        (["elsewhere.example"], |_| (), trusting(&authority), "is not for localhost but for"),
        (["localhost"], |_| (), trusting(&Authority::new()), "is not signed by an authority"),
        (
            ["localhost"],
            |_| (),
            trusting(&Authority::named("other")),
            "is not signed by an authority",
        ),
    ] {
        let acceptor = authority.acceptor(&names, change);
        let port = serve_tls(acceptor, |stream| answer(stream, OK, false)).await;
        let url = format!("https://localhost:{port}");
        let mut client = Client::new(&url, options.clone());
        let exchange = client.exchange().await;
        let failure = exchange.failure.unwrap();
        assert_eq!(failure.outcome, Outcome::Connect, "{failure:?}");
        assert!(failure.message.contains(message), "{failure:?}");
        assert!(exchange.connect.is_some() && exchange.tls.is_none());
        assert_eq!(exchange.sent, exchange.started);

        let target = HttpTarget::new(&url.parse().unwrap(), options).unwrap();
        let error = target.probe().await.unwrap_err();
        assert_eq!((error.exit(), error.to_string()), (Exit::CannotRun, failure.message));
    }
}

fn expired(params: &mut CertificateParams) {
    params.not_before = date_time_ymd(2001, 1, 1);
    params.not_after = date_time_ymd(2002, 1, 1);
}

/// HTTP/2 is what the handshake agrees on, or nothing: never HTTP/1.1 under its name.
#[tokio::test]
async fn http2_is_agreed_on_in_the_handshake() {
    let authority = Authority::new();
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    let certificate = params.signed_by(&key, &authority.issuer).unwrap();
    let options = HttpOptions { version: HttpVersion::Http2, ..trusting(&authority) };

    let both = speaking(&certificate, &key, &[b"http/1.1", b"h2"]);
    let port = serve_tls(both, |stream| async move {
        assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
        let mut connection = h2::server::handshake(stream).await.unwrap();
        while let Some(Ok((_, mut respond))) = connection.accept().await {
            let mut body = respond.send_response(http::Response::new(()), false).unwrap();
            body.send_data("ok".into(), true).unwrap();
        }
    })
    .await;
    let url = format!("https://localhost:{port}");
    HttpTarget::new(&url.parse().unwrap(), options.clone()).unwrap().probe().await.unwrap();
    let mut client = Client::new(&url, options.clone());
    let first = client.exchange().await;
    whole(&first, 200, "ok");
    assert!(first.connect.is_some() && first.tls.is_some(), "{first:?}");
    let second = client.exchange().await;
    whole(&second, 200, "ok");
    assert_eq!((second.connect, second.tls), (None, None));

    for protocols in [&[&b"http/1.1"[..]][..], &[]] {
        let old = speaking(&certificate, &key, protocols);
        let port = serve_tls(old, |mut stream| async move {
            let mut request = [0; 4096];
            let _ = stream.read(&mut request).await;
        })
        .await;
        let mut client = Client::new(&format!("https://localhost:{port}"), options.clone());
        let failure = client.exchange().await.failure.unwrap();
        assert_eq!(failure.outcome, Outcome::Connect, "{failure:?}");
        assert!(failure.message.contains("leave out --http2"), "{failure:?}");
    }
}

/// What a user sees of certificates: the real binary against a service whose certificate has expired,
/// and one of an authority of its own.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn certificates_as_a_user_meets_them() {
    let authority = Authority::new();
    let serve = async |change: fn(&mut CertificateParams)| {
        let acceptor = authority.acceptor(&["localhost"], change);
        serve_tls(acceptor, |stream| answer(stream, OK, false)).await
    };
    let (expired, own) = (serve(expired).await, serve(|_| ()).await);
    let folder = authority.directory.path().to_owned();
    let scenario = folder.join("scenario.toml");
    std::fs::write(&scenario, "[[step]]\nname = \"a\"\nget = \"/\"\n").unwrap();
    let load = async |port: u16, name: &str, options: &[&str]| {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_gander"));
        command.arg("load").arg(&scenario).args(["--users", "2", "--iterations", "7"]);
        command.args(["--target", &format!("https://localhost:{port}"), "--reports"]);
        command.arg(folder.join(name)).args(options);
        let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
        let of = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        let (said, shown) = (of(output.stderr), of(output.stdout));
        let run = std::fs::read_dir(folder.join(name)).ok().and_then(|mut all| all.next());
        let report = run.map(|run| run.unwrap().path().join("report.md"));
        let report = report.and_then(|path| std::fs::read_to_string(path).ok()).unwrap_or_default();
        (output.status.code().unwrap(), said + &shown, report)
    };
    let (code, said, _) = load(expired, "refused", &[]).await;
    assert!(code == 3 && said.contains("has expired"), "{code}: {said}");
    let (code, said, report) = load(expired, "insecure", &["--insecure"]).await;
    assert!([0, 4].contains(&code), "{code}: {said}");
    assert!(report.contains("certificates were NOT verified"), "{report}");
    let (code, said, _) = load(own, "unknown", &[]).await;
    assert!(code == 3 && said.contains("is not signed by an authority"), "{code}: {said}");
    let file = authority.file();
    let (code, said, report) = load(own, "known", &["--ca-file", file.to_str().unwrap()]).await;
    assert!([0, 4].contains(&code), "{code}: {said}");
    assert!(!report.contains("NOT verified") && report.contains("https://localhost"), "{report}");
}

#[tokio::test]
async fn self_signed() {
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    let certificate = params.self_signed(&key).unwrap();
    let port = serve_tls(acceptor(&certificate, &key), |stream| answer(stream, OK, false)).await;
    let url = format!("https://localhost:{port}");
    let other = Authority::new();
    let failure = Client::new(&url, trusting(&other)).exchange().await.failure.unwrap();
    assert_eq!(failure.outcome, Outcome::Connect, "{failure:?}");
    assert!(failure.message.contains("is not signed by an authority"), "{failure:?}");

    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("self.pem");
    std::fs::write(&file, certificate.pem()).unwrap();
    let options = HttpOptions { ca_file: Some(file), ..HttpOptions::default() };
    whole(&Client::new(&url, options).exchange().await, 200, "ok");
}

#[tokio::test]
async fn not_tls_at_all() {
    let authority = Authority::new();
    let server = serve(|number, mut peer: Peer| async move {
        if number == 0 {
            peer.send("HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n").await;
            peer.hold().await;
        }
    })
    .await;
    let url = format!("https://{}", server.address);
    let mut client = Client::new(&url, trusting(&authority));
    for message in ["does not speak TLS; is it http://", "does the service speak TLS?"] {
        let failure = client.exchange().await.failure.unwrap();
        assert_eq!(failure.outcome, Outcome::Connect, "{failure:?}");
        assert!(failure.message.contains(message), "{failure:?}");
    }
}

#[tokio::test]
async fn silent_in_the_handshake() {
    let authority = Authority::new();
    let server = serve(|_, peer: Peer| peer.hold()).await;
    let mut client = Client::new(&format!("https://{}", server.address), trusting(&authority));
    client.timeout = Duration::from_millis(150);
    let exchange = client.exchange().await;
    let failure = exchange.failure.unwrap();
    assert_eq!(failure.outcome, Outcome::Timeout);
    assert!(failure.message.ends_with("in the TLS handshake"), "{failure:?}");
    assert_eq!(exchange.sent, exchange.started);
}

#[tokio::test]
async fn a_cut_line_is_no_end() {
    let authority = Authority::new();
    for (reply, outcome) in [
        ("HTTP/1.1 200 OK\r\n\r\nto the end", Some(Outcome::Incomplete)),
        ("HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nok", Some(Outcome::Incomplete)),
        ("", Some(Outcome::Reset)),
        (OK, None),
    ] {
        let acceptor = authority.acceptor(&["localhost"], |_| ());
        let port = serve_tls(acceptor, move |stream| answer(stream, reply, true)).await;
        let mut client = Client::new(&format!("https://localhost:{port}"), trusting(&authority));
        for _ in 0..2 {
            let exchange = client.exchange().await;
            assert_eq!(exchange.failure.as_ref().map(|f| f.outcome), outcome, "{exchange:?}");
            super::scripted::settle().await;
        }
    }
}

#[test]
fn files_that_hold_no_authority() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("ca.pem");
    let url = "https://localhost".parse().unwrap();
    let new = || {
        let options = HttpOptions { ca_file: Some(file.clone()), ..HttpOptions::default() };
        HttpTarget::new(&url, options).unwrap_err()
    };
    let bad = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    let missing = new();
    assert!(missing.to_string().contains("ca.pem"), "{missing}");
    for content in ["", "no certificate", bad] {
        std::fs::write(&file, content).unwrap();
        let error = new();
        assert_eq!(error.exit(), Exit::BadInput);
        assert!(error.to_string().contains("ca.pem"), "{error}");
        assert!(error.to_string().contains("PEM file of certificates"), "{error}");
    }
}
