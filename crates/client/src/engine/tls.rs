//! TLS with rustls: the configuration when none is given, and the client's handshake.

use std::io;
use std::sync::{Arc, OnceLock};

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::error::ConnectError;
use super::stream::Stream;

/// Runs the handshake with the server `host`.
pub(super) async fn handshake(
    tcp: TcpStream,
    host: &str,
    config: Option<Arc<ClientConfig>>,
) -> Result<Stream, ConnectError> {
    let failed = |source| ConnectError::Tls { host: host.to_owned(), source };
    let config = match config {
        Some(config) => config,
        None => system_config().await.map_err(failed)?,
    };
    let name = ServerName::try_from(host.to_owned())
        .map_err(|error| failed(io::Error::new(io::ErrorKind::InvalidInput, error)))?;
    let stream = TlsConnector::from(config).connect(name, tcp).await.map_err(failed)?;
    Ok(Stream::Tls(Box::new(stream)))
}

/// A configuration that trusts the system's roots, so that an administrator's own authorities and removals count. The
/// bundled alternative (`webpki-roots`) would be a list as old as the build, under a licence that `deny.toml` does not
/// have. Read once in the life of the process.
async fn system_config() -> io::Result<Arc<ClientConfig>> {
    static CONFIG: OnceLock<Arc<ClientConfig>> = OnceLock::new();
    if let Some(config) = CONFIG.get() {
        return Ok(Arc::clone(config));
    }
    // Some hundred files on some systems.
    let config = tokio::task::spawn_blocking(load).await.map_err(io::Error::other)??;
    Ok(Arc::clone(CONFIG.get_or_init(|| config)))
}

fn load() -> io::Result<Arc<ClientConfig>> {
    let mut roots = RootCertStore::empty();
    let found = rustls_native_certs::load_native_certs();
    let (added, _) = roots.add_parsable_certificates(found.certs);
    if added == 0 {
        let cause = found.errors.into_iter().next();
        let message =
            cause.map_or_else(|| "the system has no root certificates".to_owned(), |e| e.to_string());
        return Err(io::Error::new(io::ErrorKind::NotFound, message));
    }
    // Named, because the process's default is ambiguous when another crate enables a second provider.
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(io::Error::other)?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Arc::new(config))
}
