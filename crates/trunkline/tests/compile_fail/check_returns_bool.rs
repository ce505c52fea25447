//! A check that says yes or no instead of why.

use trunkline::{Admission, Io};

fn main() {
    Io::new().of("/").check(async |admission: Admission| admission.namespace() == "/");
}
