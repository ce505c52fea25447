//! `trunkline connect`, `emit` and `listen`: the binary from outside, against the server library in this process.

mod emit;
mod listen;
mod program;
mod server;
mod session;
mod terminal;
mod tls;
