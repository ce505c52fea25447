//! A handler that borrows what it captures.

use trunkline::{Io, Socket};

fn main() {
    let io = Io::new();
    let name = String::from("ann");
    io.of("/").on("x", async |socket: Socket| {
        socket.emit("name", &name).ok();
    });
}
