//! What a session of the Engine.IO layer does between its handshake and its end, one behaviour per test.
//!
//! Where threads could matter every test runs with one and with four: with four, the requests of one session arrive on
//! different threads.

mod answers;
mod backpressure;
mod close;
mod deflate;
mod heartbeat;
mod polling;
mod streams;
mod upgrade;
mod version3;
mod websocket;

use std::time::Duration;

/// Numbers of serving threads.
const THREADS: [usize; 2] = [1, 4];

const WEBSOCKET: &str = "/engine.io/?EIO=4&transport=websocket";

const fn millis(n: u64) -> Duration {
    Duration::from_millis(n)
}
