//! A connect handler that asks for the arguments of an event.

use trunkline::{Data, Io};

fn main() {
    Io::new().of("/").on_connect(async |Data(_): Data<String>| {});
}
