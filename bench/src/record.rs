//! Encrypting one TLS record without a network: what a delivery by TLS cannot cost less than.

use std::io::Write as _;

use rustls::{ClientConnection, ServerConnection};

use crate::tls::{self, Failure};

/// A server's end of a connection in memory, after the handshake.
#[derive(Debug)]
pub struct Encryptor {
    server: ServerConnection,
    out: Vec<u8>,
}

impl Encryptor {
    /// Shakes hands with a client that is gone then.
    ///
    /// # Errors
    /// If the two do not agree.
    pub fn new() -> Result<Self, Failure> {
        let (config, certificate) = tls::server()?;
        let mut server = ServerConnection::new(config)?;
        let mut client = ClientConnection::new(tls::client(certificate)?, tls::NAME.try_into()?)?;
        while server.is_handshaking() || client.is_handshaking() {
            let mut wire = Vec::new();
            client.write_tls(&mut wire)?;
            server.read_tls(&mut &wire[..])?;
            server.process_new_packets()?;
            wire.clear();
            server.write_tls(&mut wire)?;
            while !wire.is_empty() {
                let mut rest = &wire[..];
                let n = client.read_tls(&mut rest)?;
                client.process_new_packets()?;
                wire.drain(..n);
                if n == 0 {
                    break;
                }
            }
        }
        Ok(Self { server, out: Vec::with_capacity(32 * 1024) })
    }

    /// Makes a record of `text`; gives its length.
    ///
    /// # Errors
    /// None that a connection in memory has.
    pub fn encrypt(&mut self, text: &[u8]) -> std::io::Result<usize> {
        self.out.clear();
        self.server.writer().write_all(text)?;
        self.server.write_tls(&mut self.out)
    }
}

#[cfg(test)]
mod tests {
    use super::Encryptor;

    #[test]
    fn a_record_is_longer_than_its_text() {
        let mut encryptor = Encryptor::new().expect("shakes hands");
        // What the handshake left to send comes first.
        encryptor.encrypt(b"").expect("writes");
        let len = encryptor.encrypt(&[b'x'; 64]).expect("encrypts");
        assert!((64 + 17..64 + 64).contains(&len), "{len}");
    }
}
