//! Settings that have a shape of their own: reconnection, what is kept while offline, limits.

use std::time::Duration;

/// When and how often a lost connection is tried again (options of the reference's `Manager`).
///
/// The delay before attempt *n* (from 1) is `delay · 2^(n-1)`, moved up or down by a random part of at most
/// `randomization` of itself, and never above `delay_max`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Reconnection {
    pub(crate) enabled: bool,
    pub(crate) attempts: Option<u32>,
    pub(crate) delay: Duration,
    pub(crate) delay_max: Duration,
    pub(crate) randomization: f64,
}

impl Default for Reconnection {
    /// Without end, from 1 s to 5 s, half of it random.
    fn default() -> Self {
        Self {
            enabled: true,
            attempts: None,
            delay: Duration::from_secs(1),
            delay_max: Duration::from_secs(5),
            randomization: 0.5,
        }
    }
}

impl Reconnection {
    /// Never: a lost connection stays lost until `connect` is called.
    pub fn none() -> Self {
        Self { enabled: false, ..Self::default() }
    }

    /// Gives up after so many attempts in a row. Default: never.
    #[must_use]
    pub fn attempts(mut self, attempts: u32) -> Self {
        self.attempts = Some(attempts);
        self
    }

    /// The delay before the first attempt. Default 1 s.
    #[must_use]
    pub fn delay(mut self, delay: Duration) -> Self {
        self.delay = delay;
        self
    }

    /// The longest delay. Default 5 s.
    #[must_use]
    pub fn delay_max(mut self, delay_max: Duration) -> Self {
        self.delay_max = delay_max;
        self
    }

    /// The random part of a delay, 0.0 to 1.0; what is outside is moved to the nearer end. Default 0.5, so that clients
    /// that lost the same server do not come back all at once.
    #[must_use]
    pub fn randomization(mut self, part: f64) -> Self {
        self.randomization = if part.is_nan() { 0.0 } else { part.clamp(0.0, 1.0) };
        self
    }
}

/// What is kept of the events emitted while a socket is not connected; the rest is dropped, and whoever waits for its
/// acknowledgement is told [`AckError::Disconnected`](crate::AckError::Disconnected).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OfflineBuffer {
    /// All, as the reference does.
    #[default]
    All,
    /// The last so many.
    Last(usize),
    /// Those that are younger than this when the connection is back.
    Younger(Duration),
    /// Nothing: emitting fails with [`EmitError::Closed`](crate::EmitError::Closed).
    None,
}

/// What one client may hold, and how long it waits.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// Bytes of one socket kept while offline or for retries.
    pub(crate) max_offline: usize,
    /// Bytes on their way to the transport.
    pub(crate) max_send_buffer: usize,
    /// Events, and their bytes, that wait for handlers.
    pub(crate) max_pending_events: usize,
    pub(crate) max_pending_bytes: usize,
    /// How long nothing is read without any handler's being done.
    pub(crate) max_pause: Duration,
    /// Time for a namespace's CONNECT to be answered, and for the auth function.
    pub(crate) connect_timeout: Duration,
    /// Time for the attachments of a packet.
    pub(crate) attachments_timeout: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_offline: 1 << 20,
            max_send_buffer: 4 << 20,
            max_pending_events: 256,
            max_pending_bytes: 1 << 20,
            max_pause: Duration::from_secs(300),
            connect_timeout: Duration::from_secs(20),
            attachments_timeout: Duration::from_secs(10),
        }
    }
}

/// How one socket sends.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sending {
    pub(crate) offline: OfflineBuffer,
    /// How often an unacknowledged event is sent again; `None`: events are sent once, without waiting.
    pub(crate) retries: Option<u32>,
    /// How long an answer is waited for.
    pub(crate) ack_timeout: Duration,
}

impl Default for Sending {
    fn default() -> Self {
        Self { offline: OfflineBuffer::All, retries: None, ack_timeout: Duration::from_secs(10) }
    }
}
