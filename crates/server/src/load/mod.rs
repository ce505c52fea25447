//! `trunkline bench`: load for any Socket.IO server. docs/cli.md has the modes.

mod options;
mod process;
mod report;
mod roles;
mod tally;
mod wire;

use std::ffi::OsString;
use std::io::{IsTerminal, Write};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::console::{Stop, escape, json_line};
use crate::{Failure, print, say};
use options::{HELP, Mode, Options};
use process::cost;
use report::{Report, Sample};
use roles::{Fan, Load, Role};
use tally::{Course, Phase, Tally};
use wire::Address;

/// Runs `bench` with the words after it; the exit code.
///
/// # Errors
/// If the command line is wrong, or the system does not give what is needed.
pub(crate) fn run(words: impl IntoIterator<Item = OsString>) -> Result<u8, Failure> {
    let Some(options) = Options::parse(words)? else {
        print(HELP);
        return Ok(0);
    };
    let options = Arc::new(options);
    let cannot = |error: std::io::Error| Failure::system(format!("cannot start: {error}"));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(cannot)?;
    let _inside = runtime.enter();
    let address = Address::new(&options.connection)?;
    raise_limit(options.connections)?;
    let before =
        options.pid.map(|pid| cost(pid).ok_or_else(|| Failure::config(format!("--pid: no process {pid}"))));
    let before = before.transpose()?;

    let course = Arc::new(Course::new());
    // In `mixed` publications are not waited for.
    let window = if options.mode == Mode::Mixed { MIXED_WINDOW } else { options.inflight };
    let fan = Arc::new(Fan::new(window, options.connections));
    let opening = Arc::new(Semaphore::new(options.parallel));
    let (over, _) = watch::channel(false);
    let mut tallies = Vec::new();
    let mut threads = Vec::new();
    for thread in 0..options.threads.min(options.connections) {
        let load = Load {
            options: Arc::clone(&options),
            address: address.clone(),
            course: Arc::clone(&course),
            tally: Arc::new(Tally::default()),
            opening: Arc::clone(&opening),
            fan: Arc::clone(&fan),
        };
        tallies.push(Arc::clone(&load.tally));
        let over = over.subscribe();
        threads.push(std::thread::spawn(move || work(thread, load, over)));
    }
    let code = runtime.block_on(measure(&options, &course, &tallies, before));
    course.set(Phase::Over);
    over.send_replace(true);
    for thread in threads {
        match thread.join() {
            Ok(worked) => worked?,
            Err(_) => return Err(Failure::system("a thread panicked")),
        }
    }
    runtime.shutdown_background();
    code
}

/// The connections of one thread, on a runtime of its own.
fn work(thread: usize, load: Load, mut over: watch::Receiver<bool>) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::system(format!("cannot start: {error}")))?;
    runtime.block_on(async move {
        let options = Arc::clone(&load.options);
        let mut connections = JoinSet::new();
        for n in (thread..options.connections).step_by(options.threads) {
            connections.spawn(load.clone().run(role(&options, n)));
        }
        // The sender outlives us.
        drop(over.wait_for(|over| *over).await);
        connections.shutdown().await;
    });
    runtime.shutdown_background();
    Ok(())
}

/// What the connection of that number is there for.
fn role(options: &Options, n: usize) -> Role {
    let pause = Some(options.pause);
    match (options.mode, n % 10) {
        (Mode::Echo, _) => Role::Echo { pause: None },
        (Mode::Ack, _) => Role::Ack { pause: None },
        (Mode::Fanout, _) if n == 0 => Role::Publish { pause: None },
        (Mode::Fanout | Mode::Idle, _) => Role::Listen,
        (Mode::Polling, _) => Role::Poll,
        (Mode::Connect, _) => Role::Churn { pause: None },
        (Mode::Mixed, 0) if n == 0 => Role::Publish { pause },
        (Mode::Mixed, 1) => Role::Echo { pause },
        (Mode::Mixed, 2) => Role::Ack { pause },
        (Mode::Mixed, 3) => Role::Churn { pause },
        (Mode::Mixed, _) => Role::Listen,
    }
}

/// Waits through the phases, and reports; the exit code.
async fn measure(
    options: &Options,
    course: &Course,
    tallies: &[Arc<Tally>],
    before: Option<process::Cost>,
) -> Result<u8, Failure> {
    let mut stop = Stop::install()?;
    let is_shown = std::io::stderr().is_terminal();
    let mut samples = (Sample::now(options.pid), Sample::now(options.pid));
    let code = tokio::select! {
        code = stop.signalled() => Some(code),
        () = async {
            opened(options, course, is_shown).await;
            sleep(options.warmup).await;
            samples.0 = Sample::now(options.pid);
            course.set(Phase::Measure);
            progress(options, course, tallies, is_shown).await;
            samples.1 = Sample::now(options.pid);
        } => None,
    };
    let report = Report::new(options, course, tallies, samples, before);
    course.set(Phase::Over);
    if is_shown {
        drop(write!(std::io::stderr(), "\r\x1b[K"));
    }
    if let Some(why) = course.why() {
        say(&format!("trunkline: {} connections failed; the first: {}", report.failed, escape(&why)));
    }
    if options.connection.json || !std::io::stdout().is_terminal() {
        print(&format!("{}\n", json_line(&report)));
    } else {
        print(&report.text());
    }
    Ok(code.unwrap_or_else(|| u8::from(!report.is_ok())))
}

/// Waits until all connections are there, or have failed.
async fn opened(options: &Options, course: &Course, is_shown: bool) {
    if options.mode == Mode::Connect {
        return;
    }
    // Those that come and go are not waited for.
    let roles = (0..options.connections).map(|n| role(options, n));
    let lasting = roles.filter(|role| !matches!(role, Role::Churn { .. })).count() as u64;
    loop {
        let open = course.open.load(Ordering::Relaxed);
        if open + course.failed.load(Ordering::Relaxed) >= lasting {
            return;
        }
        if is_shown {
            drop(write!(std::io::stderr(), "\r\x1b[Kopening: {open} of {lasting} connections"));
        }
        sleep(REFRESH).await;
    }
}

/// Waits for the measured time to pass, and shows it.
async fn progress(options: &Options, course: &Course, tallies: &[Arc<Tally>], is_shown: bool) {
    let began = Instant::now();
    while let Some(left) = options.duration.checked_sub(began.elapsed()).filter(|left| !left.is_zero()) {
        sleep(left.min(REFRESH)).await;
        if is_shown {
            let share = (began.elapsed().as_secs_f64() / options.duration.as_secs_f64()).min(1.0);
            let done: u64 = tallies.iter().map(|tally| tally.done()).sum();
            let bar = "#".repeat((share * 30.0) as usize);
            let failed = course.failed.load(Ordering::Relaxed);
            let rate = done as f64 / began.elapsed().as_secs_f64();
            drop(write!(std::io::stderr(), "\r\x1b[K[{bar:<30}] {rate:.0} messages/s, {failed} failed"));
        }
    }
}

/// A connection is a file: as many as are wanted, and some more.
fn raise_limit(connections: usize) -> Result<(), Failure> {
    let wanted = connections as u64 + 64;
    let limit = getrlimit(Resource::Nofile);
    if limit.current.is_none_or(|current| current >= wanted) {
        return Ok(());
    }
    if limit.maximum.is_some_and(|maximum| maximum < wanted) {
        return Err(Failure::system(format!(
            "--connections: the system allows {} open files, {wanted} are needed",
            limit.maximum.unwrap_or_default()
        )));
    }
    setrlimit(Resource::Nofile, Rlimit { current: Some(wanted), maximum: limit.maximum })
        .map_err(|error| Failure::system(format!("cannot have {wanted} open files: {error}")))
}

/// Publications of `mixed` that are remembered: with the shortest pause they last for a second.
const MIXED_WINDOW: usize = 1_024;
const REFRESH: Duration = Duration::from_millis(200);
