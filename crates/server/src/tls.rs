//! The certificate: read from PEM files, and read again while serving.

use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use rustls::ServerConfig;
use rustls::crypto::{CryptoProvider, ring};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls_pki_types::pem::{self, PemObject};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use crate::Failure;

/// The certificate in use; new handshakes get the one that was read last.
#[derive(Debug)]
pub(crate) struct Certificate {
    cert: PathBuf,
    key: PathBuf,
    provider: Arc<CryptoProvider>,
    current: RwLock<Arc<CertifiedKey>>,
}

impl Certificate {
    /// # Errors
    /// If a file cannot be read, holds nothing of its kind, or key and certificate do not belong together.
    pub(crate) fn load(cert: &Path, key: &Path) -> Result<Arc<Self>, Failure> {
        let provider = Arc::new(ring::default_provider());
        let current = RwLock::new(read(cert, key, &provider)?);
        Ok(Arc::new(Self { cert: cert.to_owned(), key: key.to_owned(), provider, current }))
    }

    /// Reads the files again; if that fails, the certificate in use stays.
    ///
    /// # Errors
    /// As [`Certificate::load`].
    pub(crate) fn reload(&self) -> Result<(), Failure> {
        let fresh = read(&self.cert, &self.key, &self.provider)?;
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = fresh;
        Ok(())
    }

    /// What `trunkline::serve_tls` takes.
    ///
    /// # Errors
    /// If the provider has no cipher suite for the protocol versions.
    pub(crate) fn server_config(self: &Arc<Self>) -> Result<Arc<ServerConfig>, Failure> {
        let mut config = ServerConfig::builder_with_provider(Arc::clone(&self.provider))
            .with_safe_default_protocol_versions()
            .map_err(|error| Failure::system(format!("TLS: {error}")))?
            .with_no_client_auth()
            .with_cert_resolver(Arc::clone(self) as Arc<dyn ResolvesServerCert>);
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Arc::new(config))
    }
}

impl ResolvesServerCert for Certificate {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner)))
    }
}

fn read(cert: &Path, key: &Path, provider: &CryptoProvider) -> Result<Arc<CertifiedKey>, Failure> {
    let failure = |what: &str, path: &Path, error: &dyn std::fmt::Display| {
        Failure::config(format!("{what}: {}: {error}", path.display()))
    };
    let chain = CertificateDer::pem_file_iter(cert)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| failure("tls_cert", cert, &told(error, "certificate")))?;
    if chain.is_empty() {
        return Err(failure("tls_cert", cert, &"no certificate (PEM) in it"));
    }
    let private = PrivateKeyDer::from_pem_file(key)
        .map_err(|error| failure("tls_key", key, &told(error, "private key")))?;
    let certified = CertifiedKey::from_der(chain, private, provider);
    certified
        .map(Arc::new)
        .map_err(|error| failure("tls_key", key, &format!("not usable with tls_cert: {error}")))
}

/// What a PEM file lacks, in words.
pub(crate) fn told(error: pem::Error, what: &str) -> String {
    match error {
        pem::Error::Io(error) => error.to_string(),
        pem::Error::NoItemsFound => format!("no {what} (PEM) in it"),
        other => other.to_string(),
    }
}
