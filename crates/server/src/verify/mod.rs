//! `trunkline verify`: whether a server loses events of clients whose connections break. docs/verify.md has the words.

mod dice;
mod ledger;
mod options;
mod publisher;
mod receiver;
mod relay;
mod report;
mod storm;

use std::ffi::OsString;
use std::io::IsTerminal;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use tokio::time::{sleep, timeout};

pub(crate) use dice::{Dice, chance};

use crate::console::{Stop, escape, json_line};
use crate::{Failure, print, say};
use options::{HELP, Options};
use publisher::Publisher;
use receiver::{Counts, Joined, Member, Receiver, Room, Run, Times};
use report::Report;
use storm::Cuts;

/// Runs `verify` with the words after it; the exit code.
///
/// # Errors
/// If the command line is wrong, or the server does not take the clients.
pub(crate) fn run(words: impl IntoIterator<Item = OsString>) -> Result<u8, Failure> {
    let Some(options) = Options::parse(words)? else {
        print(HELP);
        return Ok(0);
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::system(format!("cannot start: {error}")))?;
    let code = runtime.block_on(verify(&options));
    // A name that is still being looked up is not waited for.
    runtime.shutdown_background();
    code
}

async fn verify(options: &Options) -> Result<u8, Failure> {
    let mut stop = Stop::install()?;
    let mut dice = Dice::new(options.seed);
    let began = Instant::now();
    let (listening, publishing) = (new_run(options, began)?, new_run(options, began)?);
    let run = format!("{:08x}", chance() >> 32);
    let rooms: Vec<_> = (0..options.rooms)
        .map(|n| Arc::new(Room { name: format!("verify-{run}-{n}"), published: Mutex::default() }))
        .collect();
    let (mut publishers, mut receivers) = (Vec::new(), Vec::new());
    let started = tokio::select! {
        code = stop.signalled() => return Ok(code),
        started = async {
            start_publishers(options, &publishing, &rooms, &mut publishers).await?;
            start_receivers(options, &listening, &rooms, &mut dice, &mut receivers).await
        } => started,
    };
    started?;
    say(&format!(
        "trunkline: {} receivers in {} rooms; publishing for {:?}, seed {}",
        options.clients, options.rooms, options.duration, options.seed
    ));

    let (mut cuts, mut skipped, storm_began) = (Cuts::default(), 0, Instant::now());
    let mut code = tokio::select! {
        code = stop.signalled() => Some(code),
        () = storm::storm(&receivers, options, dice, &mut cuts) => None,
        left_out = publisher::publish(&publishers, options) => {
            skipped = left_out;
            None
        }
    };
    let seconds = storm_began.elapsed().as_secs_f64();
    if code.is_none() {
        code = tokio::select! {
            code = stop.signalled() => Some(code),
            () = settle(&receivers, options.settle) => None,
        };
    }

    let mut report = Report::new(&listening, &rooms, &receivers);
    report.ok = report.is_ok(options.strict);
    (report.seed, report.seconds) = (options.seed, seconds);
    (report.connections.cuts, report.published.skipped) = (cuts, skipped);
    if options.connection.json || !std::io::stdout().is_terminal() {
        print(&format!("{}\n", json_line(&report)));
    } else {
        print(&report.text());
    }
    close(publishers, receivers).await;
    Ok(code.unwrap_or_else(|| u8::from(!report.ok)))
}

/// Ends the storm and waits until everybody is back and nothing is missing, but not longer than `most`.
async fn settle(receivers: &[Receiver], most: Duration) {
    receivers.iter().for_each(|receiver| receiver.relay.calm());
    let whole = async {
        for receiver in receivers {
            while *receiver.member.joined.borrow() != Joined::Yes
                || !receiver.socket.is_connected()
                || receiver.is_missing()
            {
                sleep(CHECK).await;
            }
        }
    };
    if timeout(most, whole).await.is_ok() {
        // What comes a second time comes late.
        sleep(AFTERMATH).await;
    }
}

async fn start_publishers(
    options: &Options,
    run: &Arc<Run>,
    rooms: &[Arc<Room>],
    publishers: &mut Vec<Publisher>,
) -> Result<(), Failure> {
    for room in rooms {
        let publisher = Publisher::start(options, run, room).await?;
        joined(&publisher.member).await?;
        publishers.push(publisher);
    }
    Ok(())
}

/// In batches: a server need not take all at once.
async fn start_receivers(
    options: &Options,
    run: &Arc<Run>,
    rooms: &[Arc<Room>],
    dice: &mut Dice,
    receivers: &mut Vec<Receiver>,
) -> Result<(), Failure> {
    for (n, room) in rooms.iter().cycle().take(options.clients).enumerate() {
        let is_slow = n < options.slow_readers;
        receivers.push(Receiver::start(options, run, room, is_slow, dice.split()).await?);
        if let Some(earlier) = n.checked_sub(BATCH).and_then(|n| receivers.get(n)) {
            joined(&earlier.member).await?;
        }
    }
    for receiver in receivers.iter() {
        joined(&receiver.member).await?;
    }
    Ok(())
}

/// Waits until somebody is in its room. It always ends: each step has its timeout.
async fn joined(member: &Member) -> Result<(), Failure> {
    let mut joined = member.joined.subscribe();
    // The sender lives as long as the member.
    let joined = joined.wait_for(|joined| *joined != Joined::No).await.map(|joined| joined.clone());
    match joined {
        Ok(Joined::Failed(why)) => Err(Failure::system(escape(&why))),
        Ok(Joined::Yes | Joined::No) | Err(_) => Ok(()),
    }
}

async fn close(publishers: Vec<Publisher>, receivers: Vec<Receiver>) {
    let mut ends = tokio::task::JoinSet::new();
    publishers.into_iter().for_each(|publisher| drop(ends.spawn(publisher.close())));
    receivers.into_iter().for_each(|receiver| drop(ends.spawn(receiver.close())));
    while ends.join_next().await.is_some() {}
}

fn new_run(options: &Options, began: Instant) -> Result<Arc<Run>, Failure> {
    // Up to an hour, three digits.
    let histogram = || {
        Histogram::new_with_max(3_600_000_000, 3)
            .map_err(|error| Failure::system(format!("no histogram: {error}")))
    };
    Ok(Arc::new(Run {
        began,
        join_event: options.join_event.clone(),
        times: Mutex::new(Times { live: histogram()?, replayed: histogram()? }),
        counts: Counts::default(),
    }))
}

/// Receivers that connect at the same time.
const BATCH: usize = 100;
/// How often it is looked whether all is there.
const CHECK: Duration = Duration::from_millis(50);
/// How long late copies are waited for.
const AFTERMATH: Duration = Duration::from_millis(500);
