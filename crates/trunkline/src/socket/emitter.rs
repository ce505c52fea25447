//! Flags for one emit to one socket.

use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::Socket;
use crate::ack::AckFuture;
use crate::error::EmitError;

/// How a packet is sent.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Flags {
    pub(crate) volatile: bool,
    pub(crate) compress: bool,
}

impl Default for Flags {
    fn default() -> Self {
        Self { volatile: false, compress: true }
    }
}

/// A socket with flags for the next emit; from [`Socket::volatile`], [`Socket::compress`] and [`Socket::timeout`].
#[derive(Debug)]
pub struct SocketEmitter<'a> {
    pub(super) socket: &'a Socket,
    pub(super) flags: Flags,
    pub(super) timeout: Option<Duration>,
}

impl SocketEmitter<'_> {
    /// Dropped if the line is blocked at that moment.
    #[must_use]
    pub fn volatile(mut self) -> Self {
        self.flags.volatile = true;
        self
    }

    /// Whether transports may compress it.
    #[must_use]
    pub fn compress(mut self, compress: bool) -> Self {
        self.flags.compress = compress;
        self
    }

    /// How long `emit_with_ack` waits.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// See [`Socket::emit`].
    ///
    /// # Errors
    /// As there.
    pub fn emit(self, event: &str, args: impl Serialize) -> Result<(), EmitError> {
        self.socket.emit_with(event, &args, self.flags)
    }

    /// See [`Socket::emit_with_ack`].
    pub fn emit_with_ack<T: DeserializeOwned>(self, event: &str, args: impl Serialize) -> AckFuture<T> {
        let timeout = self.timeout.unwrap_or(self.socket.0.namespace.io.config.ack_timeout);
        self.socket.emit_with_ack_flags(event, &args, self.flags, timeout)
    }
}
