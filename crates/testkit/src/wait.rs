//! Waiting for something, never longer than a deadline.

use std::future::Future;
use std::time::Duration;

/// How long any single step of a test may take. Long, because a busy machine is no failure; a step that works takes
/// milliseconds.
pub const DEADLINE: Duration = Duration::from_secs(20);

/// The result of `future`.
///
/// # Panics
/// After [`DEADLINE`]; `what` says what was waited for.
pub async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    match tokio::time::timeout(DEADLINE, future).await {
        Ok(value) => value,
        Err(_) => panic!("nothing came in {DEADLINE:?}: {what}"),
    }
}

/// Waits until `condition` holds. For states that nothing announces, such as a gauge.
///
/// # Panics
/// After [`DEADLINE`].
pub async fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    within(what, async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    })
    .await;
}

/// What this process holds in memory, in bytes; `None` where the system does not tell (`/proc/self/statm`).
pub fn resident_bytes() -> Option<usize> {
    let text = std::fs::read_to_string("/proc/self/statm").ok()?;
    let pages: usize = text.split_whitespace().nth(1)?.parse().ok()?;
    Some(pages * 4096)
}
