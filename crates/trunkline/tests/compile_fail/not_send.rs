//! A handler whose future holds what must not change threads.

use trunkline::{Io, Socket};

fn main() {
    Io::new().of("/").on("x", async |socket: Socket| {
        let name = std::rc::Rc::new("ann");
        socket.drained().await.ok();
        socket.emit("name", *name).ok();
    });
}
