//! TLS: whom the client trusts.

use std::path::PathBuf;
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::crypto::ring;
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};

use crate::program::run;
use crate::server::serve_tls;

#[test]
fn a_server_without_a_known_authority_is_refused_unless_told_otherwise() {
    let server = serve_tls(None);
    let url = format!("https://{}", server.address);
    let left = run(&["emit", &url, "echo", "1"]);
    assert_eq!(left.code, Some(1), "{left:?}");
    assert!(left.err[0].starts_with("trunkline: connect error: "), "{left:?}");
    for transport in ["websocket", "polling"] {
        let left = run(&["emit", &url, "echo", "1", "--insecure", "--transport", transport]);
        assert_eq!((left.code, left.out), (Some(0), vec!["1".to_owned()]), "{:?}", left.err);
        assert!(left.err[0].starts_with("trunkline: warning: --insecure: "), "{:?}", left.err);
    }
}

#[test]
fn an_authority_of_another_server_does_not_help() {
    let server = serve_tls(None);
    let key = KeyPair::generate().expect("a key");
    let other = CertificateParams::new(vec!["localhost".to_owned()]).expect("a name").self_signed(&key);
    let folder = Folder::new("other");
    let ca = folder.write("ca.pem", &other.expect("a certificate").pem());
    let url = format!("https://{}", server.address);
    let left = run(&["emit", &url, "echo", "1", "--ca", &ca]);
    assert!(left.code == Some(1) && left.err[0].contains("ertificate"), "{left:?}");
}

#[test]
fn an_own_authority_and_a_client_certificate() {
    let authority = Authority::new();
    let (server_cert, server_key) = authority.issue("localhost");
    let mut roots = RootCertStore::empty();
    roots.add(authority.cert.der().clone()).expect("a certificate");
    let provider = Arc::new(ring::default_provider());
    let verifier =
        WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider)).build();
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("the provider has them")
        .with_client_cert_verifier(verifier.expect("it has roots"))
        .with_single_cert(
            vec![server_cert.der().clone()],
            server_key.serialize_der().try_into().expect("a key"),
        )
        .expect("they belong together");
    let server = serve_tls(Some(config));

    let folder = Folder::new("own");
    let ca = folder.write("ca.pem", &authority.cert.pem());
    let (cert, key) = authority.issue("client");
    let (cert, key) = (folder.write("cert.pem", &cert.pem()), folder.write("key.pem", &key.serialize_pem()));
    let url = format!("https://localhost:{}", server.address.port());
    for transport in ["websocket", "polling"] {
        let words = ["emit", &url, "echo", "1", "--transport", transport, "--ca", &ca];
        let left = run(&[&words[..], &["--cert", &cert, "--key", &key]].concat());
        assert_eq!((left.code, left.out, left.err), (Some(0), vec!["1".to_owned()], vec![]), "{transport}");
        let left = run(&words);
        assert_eq!(left.code, Some(1), "without a certificate: {left:?}");
    }
}

/// Signs certificates.
struct Authority {
    cert: rcgen::Certificate,
    params: CertificateParams,
    key: KeyPair,
}

impl Authority {
    fn new() -> Self {
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::new(Vec::new()).expect("no names");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let cert = params.self_signed(&key).expect("a certificate");
        Self { cert, params, key }
    }

    fn issue(&self, name: &str) -> (rcgen::Certificate, KeyPair) {
        let key = KeyPair::generate().expect("a key");
        let params = CertificateParams::new(vec![name.to_owned()]).expect("a name");
        let issuer = Issuer::from_params(&self.params, &self.key);
        (params.signed_by(&key, &issuer).expect("a certificate"), key)
    }
}

/// A directory of the test's own; removed when dropped.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("trunkline-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).expect("the folder can be made");
        Self(path)
    }

    fn write(&self, name: &str, text: &str) -> String {
        let path = self.0.join(name);
        std::fs::write(&path, text).expect("the folder can be written");
        path.into_os_string().into_string().expect("paths of tests are UTF-8")
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        drop(std::fs::remove_dir_all(&self.0));
    }
}
