//! Work that keeps a thread, beside the threads that keep connections.

use std::panic::resume_unwind;

/// Runs `work` on a thread of its own, and gives what it returns: for what computes long or waits for files, which would
/// hold up all connections of the handler's thread.
///
/// The thread comes from the runtime's pool (512 at most, more work waits for one), so it needs a tokio runtime, which handlers
/// always have. The events that its client sends meanwhile wait, as for any handler. A panic of `work` goes on in the caller: a
/// handler's ends that call alone. Work that has begun is finished, also if nobody waits for it any more, for example because
/// the client has gone; when the runtime ends, work that has not begun is dropped.
///
/// ```
/// use trunkline::{Data, Io, Reply, blocking, testing::Client};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let io = Io::new();
/// io.of("/").on("sum", async |Data(to): Data<u64>| Reply(blocking(move || (1..=to).sum::<u64>()).await));
///
/// let client = Client::connect(&io, "/", None).await.unwrap();
/// assert_eq!(client.emit_with_ack::<u64>("sum", 100_000).await, Ok(5_000_050_000));
/// # }
/// ```
///
/// # Panics
/// If `work` does, or outside of a tokio runtime.
pub async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => resume_unwind(panic),
            // The runtime is ending, and what waits here ends with it.
            Err(_) => std::future::pending().await,
        },
    }
}
