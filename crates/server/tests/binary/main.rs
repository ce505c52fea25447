//! The real binary, from outside: what it serves, what it says, how it ends.

mod bench;
mod client;
mod errors;
mod history;
mod pages;
mod program;
mod recovery;
mod rooms;
mod signals;
