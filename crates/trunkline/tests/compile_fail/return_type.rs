//! A handler that returns a bare value.

use trunkline::{Data, Io};

fn main() {
    Io::new().of("/").on("double", async |Data(n): Data<u32>| n * 2);
}
