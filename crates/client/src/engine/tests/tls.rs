//! TLS: certificates of both sides, and those that are not trusted.

use std::sync::Arc;

use rcgen::{CertificateParams, KeyPair};
use rustls::pki_types::PrivateKeyDer;
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use trunkline_testkit::{Rig, TestServer};

use super::support::{POLLING, WEBSOCKET, config, connect, echoes, tls_with};
use crate::engine::{ConnectError, Url};

#[tokio::test]
async fn a_client_certificate_is_shown() {
    let key = KeyPair::generate().expect("a key");
    let params = CertificateParams::new(vec!["localhost".to_owned()]).expect("a name");
    let certificate = params.self_signed(&key).expect("a certificate").der().clone();
    let private = PrivateKeyDer::try_from(key.serialize_der()).expect("a key");

    // The server shows the same certificate, and trusts nobody but its owner.
    let mut roots = RootCertStore::empty();
    roots.add(certificate.clone()).expect("a certificate");
    let roots = Arc::new(roots);
    let verifier = WebPkiClientVerifier::builder(Arc::clone(&roots)).build().expect("roots");
    let server_config = ServerConfig::builder()
        .with_client_cert_verifier(verifier)
        .with_single_cert(vec![certificate.clone()], private.clone_key())
        .expect("key and certificate belong together");
    let rig = Rig::serving(
        |builder| builder,
        |engine| {
            let app = engine.service();
            TestServer::spawn(|listener, end| {
                let serve = trunkline::serve_tls(listener, app, Arc::new(server_config));
                move || serve.threads(1).with_shutdown(end).run().expect("serves")
            })
        },
    );

    for transports in [POLLING, WEBSOCKET] {
        let mut config = config(rig.address(), transports);
        config.url =
            Url::parse(&format!("wss://localhost:{}/engine.io/", rig.address().port())).expect("valid");
        config.tls = Some(tls_with(&roots, certificate.clone(), private.clone_key()));
        let mut engine = connect(&config).await.expect("connects");
        echoes(&mut engine).await;
        engine.close().await;

        let bare =
            rustls::ClientConfig::builder().with_root_certificates(Arc::clone(&roots)).with_no_client_auth();
        config.tls = Some(Arc::new(bare));
        // With TLS 1.3 the refusal comes after the client's own handshake: with the first read.
        let error = connect(&config).await.err().expect("refused");
        assert!(matches!(error, ConnectError::Tls { .. } | ConnectError::Http { .. }), "{error:?}");
    }
}

#[tokio::test]
async fn an_unknown_authority_is_refused() {
    let rig = Rig::tls(1, |builder| builder);
    for transports in [POLLING, WEBSOCKET] {
        let mut config = config(rig.address(), transports);
        config.url = Url::parse(&format!("https://localhost:{}", rig.address().port())).expect("valid");
        let error = connect(&config).await.err().expect("not trusted");
        assert!(matches!(&error, ConnectError::Tls { host, .. } if host == "localhost"), "{error:?}");
    }
}

#[tokio::test]
async fn a_certificate_for_another_name_is_refused() {
    let rig = Rig::tls(1, |builder| builder);
    let mut config = config(rig.address(), WEBSOCKET);
    config.url.secure = true;
    config.tls = Some(super::support::tls());
    config.url.host = "localhost.localdomain".to_owned();
    let result = connect(&config).await;
    // Whether that name has an address is the system's matter.
    assert!(matches!(result, Err(ConnectError::Tls { .. } | ConnectError::Resolve { .. })));
}
