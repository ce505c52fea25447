//! `slow-readers`: what readers that have stopped reading cost a server, and those that read on.
//!
//! Two processes on one machine. The server broadcasts a steady stream to one room; the clients, raw WebSockets on one thread, first read
//! it all (the base), then a share of them stops reading. Measured are the server's resident size with the kernel's socket memory, which
//! must stay under a cap, and how late the stream is at the clients that read on, beside the base.

mod clients;
mod measure;
mod options;
mod server;

use std::process::ExitCode;
use std::time::Duration;

use clients::Clients;
use measure::{Lateness, Watch};
use options::Options;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

type Failure = Box<dyn std::error::Error>;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let options = match Options::parse(&args) {
        Ok(options) => options,
        Err(message) => {
            eprintln!("{message}\n{}", options::USAGE);
            return ExitCode::from(2);
        }
    };
    let result = if options.is_server { server::run(&options) } else { measure(&args, &options) };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("slow-readers: {error}");
            ExitCode::FAILURE
        }
    }
}

fn measure(args: &[String], options: &Options) -> Result<(), Failure> {
    let server = server::Child::start(args)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut watch = Watch::new(server.id());
        let clients = Clients::connect(server.address(), options).await?;
        watch.sample();
        println!(
            "{} clients, {} MB/s: {} events/s",
            options.clients,
            options.rate / 1_000_000,
            options.frequency()
        );

        // The first second is the flusher's and the allocator's to warm up in.
        watch.during(Duration::from_secs(1)).await;
        clients.lateness();
        watch.during(options.base).await;
        let base = clients.lateness();
        println!("all read:          {base}; at most {} MiB", watch.peak_mib());

        let stalled = clients.stall(options.stalled());
        watch.during(options.stall).await;
        let beside = clients.lateness();
        println!("{stalled} have stopped: {beside}; at most {} MiB", watch.peak_mib());
        println!("  of which sockets: {} MiB", watch.peak_sockets_mib());
        println!("  p99: {:.2} times the base", ratio(&beside, &base));

        // It tells what it has counted while the clients are still there.
        drop(server);
        clients.check()?;
        if watch.peak_mib() > options.cap_mib {
            return Err(format!("{} MiB are more than {} MiB", watch.peak_mib(), options.cap_mib).into());
        }
        // Loose, because the machine may be shared: the ratio above is what is meant.
        if beside.p99 > Duration::from_millis(500) && ratio(&beside, &base) > 10.0 {
            return Err("the clients that read on are served late".into());
        }
        Ok(())
    })
}

fn ratio(beside: &Lateness, base: &Lateness) -> f64 {
    beside.p99.as_secs_f64() / base.p99.as_secs_f64().max(1e-6)
}
