//! Whether the servers under test send through io_uring.

use trunkline::Uring;

/// Off; with `TRUNKLINE_TEST_URING=on` in the environment, on from the first receiver. `cargo xtask test` runs tests both ways.
///
/// # Panics
/// If it is wanted and not to be had, or the variable is something else.
pub fn uring() -> Uring {
    match std::env::var("TRUNKLINE_TEST_URING").as_deref() {
        Err(_) | Ok("off") => Uring::off(),
        Ok("on") => Uring::on().expect("io_uring").from_receivers(1),
        Ok(other) => panic!("TRUNKLINE_TEST_URING is \"on\" or \"off\", not {other:?}"),
    }
}
