//! A client's connection: plain TCP or TLS, with a deadline on every read and write.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use rustls::{ClientConfig, RootCertStore, ServerConfig};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use socket2::SockRef;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::wait::within;

/// One connection.
#[derive(Debug)]
pub struct Conn(Inner);

#[derive(Debug)]
enum Inner {
    Tcp(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl Conn {
    /// Connects.
    pub async fn open(address: SocketAddr) -> Self {
        let stream = within("connect", TcpStream::connect(address)).await.expect("the server accepts");
        stream.set_nodelay(true).expect("an open socket");
        Self(Inner::Tcp(stream))
    }

    /// Connects with a receive buffer of `bytes` (the kernel's least if smaller): for clients that do not read.
    pub async fn open_narrow(address: SocketAddr, bytes: u32) -> Self {
        Self(Inner::Tcp(narrow(address, bytes).await))
    }

    /// As [`Conn::open_narrow`], with TLS.
    pub async fn open_narrow_tls(address: SocketAddr, bytes: u32) -> Self {
        Self::tls(narrow(address, bytes).await).await
    }

    /// Connects with TLS to a server that uses [`tls_config`].
    pub async fn open_tls(address: SocketAddr) -> Self {
        Self::tls(within("connect", TcpStream::connect(address)).await.expect("the server accepts")).await
    }

    async fn tls(stream: TcpStream) -> Self {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(CA).expect("a fixture")).expect("a fixture");
        let config = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
        let name = ServerName::try_from("localhost").expect("a name");
        let connecting = TlsConnector::from(Arc::new(config)).connect(name, stream);
        Self(Inner::Tls(Box::new(within("TLS handshake", connecting).await.expect("a TLS handshake"))))
    }

    /// Writes all of `bytes`.
    ///
    /// # Errors
    /// If the server has closed or reset the connection.
    pub async fn try_write(&mut self, bytes: &[u8]) -> io::Result<()> {
        within("write", async {
            match &mut self.0 {
                Inner::Tcp(stream) => stream.write_all(bytes).await,
                Inner::Tls(stream) => {
                    stream.write_all(bytes).await?;
                    stream.flush().await
                }
            }
        })
        .await
    }

    /// Writes all of `bytes` to a server that must take them.
    pub async fn write(&mut self, bytes: &[u8]) {
        self.try_write(bytes).await.expect("the server reads");
    }

    /// Writes what the kernel takes at once, for clients that flood without waiting; 0 if it takes nothing.
    ///
    /// # Errors
    /// If the server has closed or reset the connection.
    pub fn write_now(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut self.0 {
            Inner::Tcp(stream) => match stream.try_write(bytes) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(0),
                result => result,
            },
            Inner::Tls(_) => Ok(0),
        }
    }

    /// Appends what comes next to `buf`; 0 at the end.
    ///
    /// # Errors
    /// If the connection was reset.
    pub async fn read(&mut self, buf: &mut Vec<u8>) -> io::Result<usize> {
        within("bytes from the server", async {
            match &mut self.0 {
                Inner::Tcp(stream) => stream.read_buf(buf).await,
                Inner::Tls(stream) => stream.read_buf(buf).await,
            }
        })
        .await
    }

    /// Ends the sending half.
    pub async fn finish(&mut self) {
        let result = match &mut self.0 {
            Inner::Tcp(stream) => stream.shutdown().await,
            Inner::Tls(stream) => stream.shutdown().await,
        };
        // The server may have been faster.
        drop(result);
    }

    /// Resets the connection: the server sees an error, not an end.
    pub fn reset(self) {
        if let Inner::Tcp(stream) = &self.0 {
            SockRef::from(stream).set_linger(Some(std::time::Duration::ZERO)).expect("an open socket");
        }
    }
}

async fn narrow(address: SocketAddr, bytes: u32) -> TcpStream {
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.set_recv_buffer_size(bytes).expect("an open socket");
    within("connect", socket.connect(address)).await.expect("the server accepts")
}

/// The TLS configuration of test servers: a certificate for `localhost`, good for nothing else.
pub fn tls_config() -> Arc<ServerConfig> {
    let certificate = CertificateDer::from_pem_slice(CERTIFICATE).expect("a fixture");
    let key = PrivateKeyDer::from_pem_slice(KEY).expect("a fixture");
    let config = ServerConfig::builder().with_no_client_auth().with_single_cert(vec![certificate], key);
    Arc::new(config.expect("key and certificate belong together"))
}

const CA: &[u8] = include_bytes!("../fixtures/ca.pem");
const CERTIFICATE: &[u8] = include_bytes!("../fixtures/cert.pem");
const KEY: &[u8] = include_bytes!("../fixtures/key.pem");
