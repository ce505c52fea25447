//! TLS for measurements: a certificate made for one run, and both sides' configurations.

use std::sync::Arc;

use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::{ClientConfig, RootCertStore, ServerConfig};

/// The name that the certificate is for.
pub const NAME: &str = "localhost";

/// Why there is no TLS.
pub type Failure = Box<dyn std::error::Error>;

/// A server's configuration with a new certificate, and that certificate, for [`client`].
///
/// # Errors
/// If no key can be made.
pub fn server() -> Result<(Arc<ServerConfig>, CertificateDer<'static>), Failure> {
    let made = rcgen::generate_simple_self_signed(vec![NAME.to_owned()])?;
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(made.signing_key.serialize_der()));
    let certificate = made.cert.der().clone();
    let config =
        ServerConfig::builder().with_no_client_auth().with_single_cert(vec![certificate.clone()], key)?;
    Ok((Arc::new(config), certificate))
}

/// A client's configuration that trusts `certificate` alone.
///
/// # Errors
/// If it is no certificate.
pub fn client(certificate: CertificateDer<'static>) -> Result<Arc<ClientConfig>, Failure> {
    let mut roots = RootCertStore::empty();
    roots.add(certificate)?;
    Ok(Arc::new(ClientConfig::builder().with_root_certificates(roots).with_no_client_auth()))
}
