//! TLS of a client whose trust was set on the command line.

use std::path::Path;
use std::sync::Arc;

use rustls::client::WantsClientCert;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring};
use rustls::{ClientConfig, ConfigBuilder, DigitallySignedStruct, RootCertStore, SignatureScheme};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};

use super::options::Options;
use crate::Failure;
use crate::tls::told;

/// The configuration that the options ask for; `None` where the client's own does.
///
/// # Errors
/// If a file cannot be read or used, or the system has no certificates to trust.
pub(crate) fn config(options: &Options) -> Result<Option<Arc<ClientConfig>>, Failure> {
    if !options.insecure && options.ca.is_none() && options.cert.is_none() {
        return Ok(None);
    }
    made(options).map(Some)
}

/// The configuration for who has no other: without options it trusts what the system does.
///
/// # Errors
/// As [`config`].
pub(crate) fn made(options: &Options) -> Result<Arc<ClientConfig>, Failure> {
    let provider = Arc::new(ring::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|error| Failure::system(format!("TLS: {error}")))?;
    let builder = if options.insecure {
        builder.dangerous().with_custom_certificate_verifier(Arc::new(Unchecked { provider }))
    } else {
        let roots = options.ca.as_deref().map_or_else(system_roots, given_roots)?;
        builder.with_root_certificates(roots)
    };
    let config = match (&options.cert, &options.key) {
        (Some(cert), Some(key)) => with_certificate(builder, cert, key)?,
        _ => builder.with_no_client_auth(),
    };
    Ok(Arc::new(config))
}

fn with_certificate(
    builder: ConfigBuilder<ClientConfig, WantsClientCert>,
    cert: &Path,
    key: &Path,
) -> Result<ClientConfig, Failure> {
    let chain = certificates("cert", cert)?;
    let private =
        PrivateKeyDer::from_pem_file(key).map_err(|error| wrong("key", key, &told(error, "private key")))?;
    builder
        .with_client_auth_cert(chain, private)
        .map_err(|error| wrong("key", key, &format_args!("not usable with --cert: {error}")))
}

fn given_roots(file: &Path) -> Result<RootCertStore, Failure> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates("ca", file)? {
        roots.add(certificate).map_err(|error| wrong("ca", file, &error))?;
    }
    Ok(roots)
}

/// For a client certificate alone: the client library's own configuration has none.
fn system_roots() -> Result<RootCertStore, Failure> {
    let mut roots = RootCertStore::empty();
    let found = rustls_native_certs::load_native_certs();
    let (added, _) = roots.add_parsable_certificates(found.certs);
    if added == 0 {
        return Err(Failure::system("the system has no root certificates; give some with --ca"));
    }
    Ok(roots)
}

fn certificates(flag: &str, file: &Path) -> Result<Vec<CertificateDer<'static>>, Failure> {
    let read = CertificateDer::pem_file_iter(file).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let chain = read.map_err(|error| wrong(flag, file, &told(error, "certificate")))?;
    if chain.is_empty() { Err(wrong(flag, file, &"no certificate (PEM) in it")) } else { Ok(chain) }
}

fn wrong(flag: &str, file: &Path, error: &dyn std::fmt::Display) -> Failure {
    Failure::config(format!("--{flag}: {}: {error}", file.display()))
}

/// Believes every certificate, as `--insecure` asks; signatures are checked all the same, so that the server at least has
/// the key of the certificate it shows.
#[derive(Debug)]
struct Unchecked {
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Unchecked {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, cert, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, cert, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
