//! A handler that is no async function.

use trunkline::{Io, Socket};

fn main() {
    Io::new().of("/").on("x", |socket: Socket| {
        socket.join("room");
    });
}
