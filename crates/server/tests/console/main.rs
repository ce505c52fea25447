//! `trunkline connect`, `emit`, `listen`, `verify` and `bench`: the binary from outside, against the server library in this process.

mod bench;
mod emit;
mod listen;
mod program;
mod server;
mod session;
mod terminal;
mod tls;
mod verify;
