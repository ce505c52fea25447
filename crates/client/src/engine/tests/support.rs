//! What the engine's tests share.

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};
use trunkline_testkit::within;

use crate::engine::{
    CloseReason, ConnectError, CookieJar, Engine, EngineConfig, EngineEvent, TransportKind, Url,
};

/// Settings for a plain server.
pub(super) fn config(address: SocketAddr, transports: &[TransportKind]) -> EngineConfig {
    let url = Url::parse(&format!("http://{address}/engine.io/")).expect("a valid URL");
    EngineConfig { transports: transports.to_vec(), ..EngineConfig::new(url) }
}

/// Connects with a jar of its own.
pub(super) async fn connect(config: &EngineConfig) -> Result<Engine, ConnectError> {
    within("a session", Engine::connect(config, &mut CookieJar::default())).await
}

/// The next event.
pub(super) async fn next(engine: &mut Engine) -> EngineEvent {
    within("an event", engine.next()).await
}

/// The next message, as bytes; pings and the upgrade pass.
pub(super) async fn message(engine: &mut Engine) -> Vec<u8> {
    loop {
        match next(engine).await {
            EngineEvent::Text(text) => return text.into_bytes(),
            EngineEvent::Binary(data) => return data.into(),
            EngineEvent::Ping | EngineEvent::Upgraded => {}
            other => panic!("{other:?} instead of a message"),
        }
    }
}

/// Drives until the session is over.
pub(super) async fn closed(engine: &mut Engine) -> (CloseReason, Option<String>) {
    loop {
        if let EngineEvent::Closed(reason, description) = next(engine).await {
            return (reason, description);
        }
    }
}

/// Drives until the upgrade is done.
pub(super) async fn upgraded(engine: &mut Engine) {
    loop {
        match next(engine).await {
            EngineEvent::Upgraded => return,
            EngineEvent::Ping => {}
            other => panic!("{other:?} instead of the upgrade"),
        }
    }
}

/// Sends texts and bytes and reads them back in order.
pub(super) async fn echoes(engine: &mut Engine) {
    let messages: [&'static [u8]; 5] =
        [b"hello", b"", "\u{20ac}\u{1f600}\n\x1f".as_bytes(), &[0x1e, 0, 255], &[]];
    for (index, data) in messages.into_iter().enumerate() {
        let data = Bytes::from_static(data);
        assert!(if index < 3 { engine.send_text(data) } else { engine.send_binary(data) });
    }
    for expected in messages {
        assert_eq!(message(engine).await, expected);
    }
}

/// Trusts the certificate of the test server.
pub(super) fn tls() -> Arc<ClientConfig> {
    let config = ClientConfig::builder().with_root_certificates(roots()).with_no_client_auth();
    Arc::new(config)
}

/// Trusts `roots`, and shows a certificate.
pub(super) fn tls_with(
    roots: &Arc<RootCertStore>,
    certificate: CertificateDer<'static>,
    key: PrivateKeyDer<'static>,
) -> Arc<ClientConfig> {
    let config = ClientConfig::builder()
        .with_root_certificates(Arc::clone(roots))
        .with_client_auth_cert(vec![certificate], key)
        .expect("key and certificate belong together");
    Arc::new(config)
}

fn roots() -> RootCertStore {
    let mut roots = RootCertStore::empty();
    let authority = CertificateDer::from_pem_slice(include_bytes!("../../../../testkit/fixtures/ca.pem"));
    roots.add(authority.expect("a fixture")).expect("a fixture");
    roots
}

pub(super) const POLLING: &[TransportKind] = &[TransportKind::Polling];
pub(super) const WEBSOCKET: &[TransportKind] = &[TransportKind::WebSocket];
pub(super) const BOTH: &[TransportKind] = &[TransportKind::Polling, TransportKind::WebSocket];
