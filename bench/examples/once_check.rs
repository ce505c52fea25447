use std::sync::atomic::{AtomicUsize, Ordering};
use trunkline::{Data, ExactlyOnce, Io, Reply};
fn main() -> std::io::Result<()> {
    static CALLS: AtomicUsize = AtomicUsize::new(0);
    let io = Io::new();
    io.of("/").exactly_once(ExactlyOnce::new()).on("late", async |Data(ms): Data<u64>| {
        let n = CALLS.fetch_add(1, Ordering::SeqCst) + 1;
        tokio::time::sleep(std::time::Duration::from_millis(ms)).await;
        Reply(n)
    });
    let listener = std::net::TcpListener::bind("127.0.0.1:3955")?;
    trunkline::serve(listener, io.service()).threads(1).run()
}
