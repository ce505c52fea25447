//! `trunkline bench`: load for any Socket.IO server. docs/cli.md has the modes.

mod course;
mod expected;
mod fan;
mod lost;
mod options;
mod owed;
mod polling;
mod process;
mod report;
mod roles;
mod tally;
mod wire;

use std::ffi::OsString;
use std::io::{IsTerminal, Write};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::console::{Stop, json_line};
use crate::verify::chance;
use crate::{Failure, print, say};
use course::{Course, Phase};
use expected::{complaints, is_at_work, role};
use fan::Fan;
use options::{HELP, Mode, Options};
use process::cost;
use report::{Report, Sample};
use roles::{Load, Role};
use tally::Tally;
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

    let roles = || (0..options.connections).map(|n| role(&options, n));
    let lasting = roles().filter(|role| !matches!(role, Role::Churn { .. })).count();
    let at_work = roles().filter(|role| is_at_work(&options, *role)).count();
    let course = Arc::new(Course::new(lasting as u64, at_work as u64));
    // In `mixed` publications are not waited for.
    let window = if options.mode == Mode::Mixed { MIXED_WINDOW } else { options.inflight };
    let fan = Arc::new(Fan::new(window));
    // Another run's room would be another's load.
    let room = (options.mode == Mode::Publish).then(|| Arc::from(format!("bench-{:08x}", chance() >> 32)));
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
            room: room.clone(),
        };
        tallies.push(Arc::clone(&load.tally));
        let over = over.subscribe();
        threads.push(std::thread::spawn(move || work(thread, load, over)));
    }
    let code = runtime.block_on(measure(&options, &course, &tallies, &fan, before));
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
            let (load, role) = (load.clone(), role(&options, n));
            let is_at_work = is_at_work(&options, role);
            connections.spawn(async move {
                if let Err(why) = load.run(role).await {
                    load.course.fail(why, is_at_work);
                }
            });
        }
        // The sender outlives us.
        drop(over.wait_for(|over| *over).await);
        connections.shutdown().await;
    });
    runtime.shutdown_background();
    Ok(())
}

/// Waits through the phases, and reports; the exit code.
async fn measure(
    options: &Options,
    course: &Course,
    tallies: &[Arc<Tally>],
    fan: &Fan,
    before: Option<process::Cost>,
) -> Result<u8, Failure> {
    let mut stop = Stop::install()?;
    let is_shown = std::io::stderr().is_terminal();
    let mut missed = 0;
    let mut samples = (Sample::now(options.pid), Sample::now(options.pid));
    let code = tokio::select! {
        code = stop.signalled() => Some(code),
        () = async {
            opened(course, is_shown).await;
            if !course.is_pointless() {
                sleep(options.warmup).await;
            }
            samples.0 = Sample::now(options.pid);
            course.set(Phase::Measure);
            progress(options, course, tallies, is_shown).await;
            samples.1 = Sample::now(options.pid);
            course.set(Phase::Settle);
            settled(options, course, tallies, fan, is_shown).await;
            missed = fan.unheard();
        } => None,
    };
    let report = Report::new(options, course, tallies, missed, samples, before);
    course.set(Phase::Over);
    if is_shown {
        drop(write!(std::io::stderr(), "\r\x1b[K"));
    }
    for complaint in complaints(options, course, &report) {
        say(&format!("trunkline: {complaint}"));
    }
    if options.connection.json || !std::io::stdout().is_terminal() {
        print(&format!("{}\n", json_line(&report)));
    } else {
        print(&report.text());
    }
    Ok(code.unwrap_or_else(|| u8::from(!report.is_ok())))
}

/// Waits until all connections are there, or have failed.
async fn opened(course: &Course, is_shown: bool) {
    while !course.is_opened() {
        if is_shown {
            let (open, lasting) = (course.open(), course.lasting());
            drop(write!(std::io::stderr(), "\r\x1b[Kopening: {open} of {lasting} connections"));
        }
        sleep(REFRESH).await;
    }
}

/// Waits for the measured time to pass, and shows it.
async fn progress(options: &Options, course: &Course, tallies: &[Arc<Tally>], is_shown: bool) {
    let began = Instant::now();
    while let Some(left) = options.duration.checked_sub(began.elapsed()).filter(|left| !left.is_zero()) {
        if course.is_pointless() {
            return;
        }
        sleep(left.min(REFRESH)).await;
        if is_shown {
            let share = (began.elapsed().as_secs_f64() / options.duration.as_secs_f64()).min(1.0);
            let done: u64 = tallies.iter().map(|tally| tally.done()).sum();
            let bar = "#".repeat((share * 30.0) as usize);
            let failed = course.failed();
            let rate = done as f64 / began.elapsed().as_secs_f64();
            drop(write!(std::io::stderr(), "\r\x1b[K[{bar:<30}] {rate:.0} messages/s, {failed} failed"));
        }
    }
}

/// Waits for the last answers and deliveries, as long as they may take.
async fn settled(options: &Options, course: &Course, tallies: &[Arc<Tally>], fan: &Fan, is_shown: bool) {
    let limit = options.connection.timeout;
    // Connections give up by themselves; they are let do that.
    let end = Instant::now() + limit + GRACE;
    let is_awaited = || {
        tallies.iter().any(|tally| tally.under_way() > 0)
            || (!course.is_pointless() && fan.is_awaited(course.now(), limit + GRACE))
    };
    if is_shown {
        drop(write!(std::io::stderr(), "\r\x1b[Kwaiting for the last answers"));
    }
    while is_awaited() && Instant::now() < end {
        sleep(CHECK).await;
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
/// Beyond the time limit of the last message.
const GRACE: Duration = Duration::from_secs(1);
/// How often it is looked whether the last answers are there.
const CHECK: Duration = Duration::from_millis(5);
const REFRESH: Duration = Duration::from_millis(200);
