//! The flusher: writes what waits for a shard's dirty receivers, about 128 of them at a time. A session that answers only its own client
//! writes that itself ([`own`]).
//!
//! Everything that waits for a receiver goes out in one vectored send, outside the shard's lock. Between two chunks the
//! runtime reads its sockets, and further packets collect by themselves.

use std::io::{self, IoSlice};
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};

use socket2::SockRef;
use tokio::io::Interest;
use tokio::net::TcpStream;
use trunkline_proto::eio::CloseReason;

use crate::outbox::{Mode, PollSender, Sink};
use crate::session::{Command, Session};
use crate::shard::{Shard, Slot, State};
use crate::transport::websocket::{SharedStream, write_shared};
use crate::wire::{Queue, Wire};

// The targets for which the io-uring crate has the kernel's types, as in Cargo.toml.
#[cfg_attr(
    not(all(
        target_os = "linux",
        any(
            target_arch = "x86_64",
            target_arch = "aarch64",
            target_arch = "riscv64",
            target_arch = "loongarch64",
            target_arch = "powerpc64"
        )
    )),
    path = "flush/no_ring.rs"
)]
pub(crate) mod ring;

/// Receivers in one chunk: larger ones push the kernel's work to its softirq thread (measured, design 7).
const CHUNK: usize = 128;
/// Receivers closed in one go when memory is short.
const SHED: usize = 32;

/// How often memory is looked at while it is short.
const PRESSURE: Duration = Duration::from_millis(20);

/// Runs until the engine or the runtime ends.
pub(crate) async fn run(shard: Arc<Shard>) {
    let mut chunk = Vec::with_capacity(CHUNK);
    let mut looked = Instant::now();
    loop {
        let is_over = shard.with(|state| state.budget.is_over());
        let waited = if is_over {
            // Nothing tells when receivers become slow enough to be closed: look again after a while.
            tokio::time::timeout(PRESSURE, work(&shard)).await.unwrap_or(Work::Some)
        } else {
            work(&shard).await
        };
        if waited == Work::Ended {
            return;
        }
        loop {
            relieve(&shard, &mut looked);
            if !flush(&shard, &mut chunk) {
                break;
            }
            tokio::task::yield_now().await;
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Work {
    Some,
    Ended,
}

/// Waits for dirty receivers, or for memory to become short.
async fn work(shard: &Shard) -> Work {
    std::future::poll_fn(|cx| {
        shard.with(|state| {
            if state.ended {
                return Poll::Ready(Work::Ended);
            }
            let is_over = state.budget.is_over();
            let is_news = is_over && !state.pressed;
            state.pressed = is_over;
            if is_news || !state.dirty.is_empty() {
                return Poll::Ready(Work::Some);
            }
            match &mut state.flusher {
                Some(waker) => waker.clone_from(cx.waker()),
                none => *none = Some(cx.waker().clone()),
            }
            Poll::Pending
        })
    })
    .await
}

/// Closes the slowest receivers while memory is short; looks at most every `PRESSURE`, since it visits all outboxes.
fn relieve(shard: &Shard, looked: &mut Instant) {
    if shard.with(|state| state.budget.is_over()) && looked.elapsed() >= PRESSURE {
        *looked = Instant::now();
        let budget = shard.with(|state| Arc::clone(&state.budget));
        budget.relieve();
        let (slowest, mut ending) = shard.with(|state| state.slowest(SHED));
        for slot in slowest {
            if !budget.is_over_without(ending) {
                return;
            }
            if let Some((unsent, rest)) = shard.with(|state| state.shed(slot)) {
                ending += rest;
                drop(unsent);
            }
        }
    }
}

/// One receiver's share of a chunk.
pub(crate) struct Job {
    slot: Slot,
    stream: Line,
    queue: Queue,
    written: usize,
    wire: Wire,
    sent: Sent,
    outcome: Outcome,
    /// Of a stream that is no TCP stream: it is to look again if the flusher found the stream full.
    session: Option<Arc<Session>>,
}

/// What the flusher writes to.
enum Line {
    Tcp(Arc<TcpStream>),
    Other(SharedStream),
}

impl Line {
    fn of(sink: &Sink) -> Option<Self> {
        match sink {
            Sink::Tcp(stream) => Some(Self::Tcp(Arc::clone(stream))),
            Sink::Other(stream) => Some(Self::Other(Arc::clone(stream))),
            Sink::Task | Sink::Poll(_) | Sink::Waiting => None,
        }
    }
}

/// What a ring did for a job.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[allow(dead_code, reason = "most are made by the ring, which not all systems have")]
enum Sent {
    /// Nothing: it is to be written as usual.
    No,
    /// It has been told to send so many bytes.
    Pending(usize),
    /// It has sent so many bytes of so many.
    Bytes(usize, usize),
    /// The stream takes no more.
    Blocked,
    /// The stream is broken, or nobody knows what was sent.
    Failed,
    /// So many bytes have become TLS records, and this became of those. `None`: the stream keeps them.
    Encrypted(usize, Option<Outcome>),
}

/// What a write did.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Outcome {
    /// All is written.
    Done,
    /// The stream takes no more; the queue starts with what is left.
    Blocked,
    /// The stream is broken.
    Failed,
}

impl Job {
    /// Writes what no ring has written, and adds the bytes to `total`.
    fn finish(&mut self, total: &mut usize) -> Outcome {
        match std::mem::replace(&mut self.sent, Sent::No) {
            Sent::No | Sent::Pending(_) => {}
            Sent::Blocked => return Outcome::Blocked,
            Sent::Failed => return Outcome::Failed,
            Sent::Bytes(n, wanted) => {
                *total += n;
                advance(&mut self.queue, &mut self.written, self.wire, n);
                if n < wanted {
                    return Outcome::Blocked;
                }
            }
            Sent::Encrypted(n, outcome) => {
                *total += n;
                if let Some(outcome) = outcome {
                    return outcome;
                }
            }
        }
        match &self.stream {
            Line::Tcp(stream) => write(stream, &mut self.queue, &mut self.written, self.wire, total),
            Line::Other(stream) => write_shared(stream, &mut self.queue, &mut self.written, self.wire, total),
        }
    }
}

/// Writes one chunk; false if nothing was dirty.
fn flush(shard: &Shard, chunk: &mut Vec<Job>) -> bool {
    let mut tasks: Vec<Arc<Session>> = Vec::new();
    let mut polls: Vec<(PollSender, Queue)> = Vec::new();
    let any = shard.with(|state| take(state, chunk, &mut tasks, &mut polls));
    for (sender, queue) in polls {
        // A request that was aborted ends its session by itself.
        drop(sender.send(queue));
    }
    tasks.iter().for_each(|session| session.wake());
    if chunk.is_empty() {
        return any;
    }
    let waiting = |chunk: &[Job]| chunk.iter().map(|job| job.queue.len()).sum::<usize>();
    let (before, mut bytes) = (waiting(chunk), 0);
    shard.counters.uring_sends.add(shard.batches.send(chunk) as u64);
    for job in &mut *chunk {
        job.outcome = job.finish(&mut bytes);
    }
    shard.counters.sent(before - waiting(chunk), bytes);
    let mut done = Vec::new();
    shard.with(|state| {
        for job in &mut *chunk {
            settle(state, job, &mut done);
        }
    });
    // What was not put back is dropped here, outside of the lock: attachments are the application's.
    chunk.clear();
    done.into_iter().for_each(Finished::tell);
    true
}

/// Takes up to `CHUNK` receivers off the dirty lists.
fn take(
    state: &mut State,
    chunk: &mut Vec<Job>,
    tasks: &mut Vec<Arc<Session>>,
    polls: &mut Vec<(PollSender, Queue)>,
) -> bool {
    let mut any = false;
    while chunk.len() + polls.len() < CHUNK {
        let Some(slot) = state.dirty.pop() else { break };
        any = true;
        match take_one(state, slot) {
            Taken::Nothing => {}
            Taken::Job(job) => chunk.push(job),
            Taken::Poll(sender, queue) => polls.push((sender, queue)),
            Taken::Task => tasks.extend(state.get(slot).and_then(|outbox| outbox.session.clone())),
        }
    }
    any
}

/// What is to be done for a dirty receiver.
enum Taken {
    Nothing,
    Job(Job),
    /// A waiting request is to be answered.
    Poll(PollSender, Queue),
    /// Its session's task writes.
    Task,
}

/// Takes what waits in a dirty outbox, which is no longer dirty then.
fn take_one(state: &mut State, slot: Slot) -> Taken {
    let Some(outbox) = state.get(slot).filter(|outbox| outbox.mode == Mode::Dirty) else {
        return Taken::Nothing;
    };
    outbox.ahead = false;
    if let Some(stream) = Line::of(&outbox.sink) {
        let queue = outbox.take_free();
        if queue.is_empty() && outbox.held {
            outbox.mode = Mode::Idle;
            state.hold(slot);
            return Taken::Nothing;
        }
        outbox.mode = Mode::Flushing;
        let (written, wire) = (outbox.written, outbox.wire);
        let session = if matches!(stream, Line::Other(_)) { outbox.session.clone() } else { None };
        return Taken::Job(Job {
            slot,
            stream,
            queue,
            written,
            wire,
            sent: Sent::No,
            outcome: Outcome::Done,
            session,
        });
    }
    match &outbox.sink {
        Sink::Task => {
            outbox.mode = Mode::Blocked;
            Taken::Task
        }
        Sink::Poll(_) => {
            outbox.mode = Mode::Idle;
            let queue = outbox.take_answer();
            if queue.is_empty() {
                // What it was marked dirty for was dropped, or waits for its log: the request waits on.
                match outbox.held {
                    true => state.hold(slot),
                    false => outbox.wake_drained(),
                }
                return Taken::Nothing;
            }
            let sink = std::mem::replace(&mut outbox.sink, Sink::Waiting);
            if outbox.queue.is_empty() {
                outbox.wake_drained();
            }
            if let Sink::Poll(sender) = sink { Taken::Poll(sender, queue) } else { Taken::Nothing }
        }
        Sink::Waiting | Sink::Tcp(_) | Sink::Other(_) => {
            outbox.mode = Mode::Idle;
            Taken::Nothing
        }
    }
}

/// At the end of a session's turn: writes what waits in its outbox, if no other's is dirty. Where others' are, more messages are likely to
/// follow, which the flusher merges. True if the session's task has to write: the stream took not all, or is not the flusher's.
pub(crate) fn own(session: &Session) -> bool {
    let (shard, slot) = (&session.shard, session.slot);
    let taken = shard.with(|state| take_own(state, slot));
    let mut job = match taken {
        Taken::Job(job) => job,
        Taken::Nothing => return false,
        Taken::Task => return true,
        Taken::Poll(sender, queue) => {
            // A request that was aborted ends its session by itself.
            drop(sender.send(queue));
            return false;
        }
    };
    let (before, mut bytes) = (job.queue.len(), 0);
    job.outcome = job.finish(&mut bytes);
    shard.counters.sent(before - job.queue.len(), bytes);
    let is_blocked = job.outcome == Outcome::Blocked;
    let mut done = Vec::new();
    shard.with(|state| settle(state, &mut job, &mut done));
    done.into_iter().for_each(Finished::tell);
    is_blocked
}

/// What a session's task has to do for its own outbox.
fn take_own(state: &mut State, slot: Slot) -> Taken {
    let is_only = state.dirty.take_only(slot);
    // It may have been on a list from before.
    match state.get(slot).map(|outbox| outbox.mode) {
        Some(Mode::Dirty) if is_only => take_one(state, slot),
        Some(Mode::Blocked) => Taken::Task,
        _ => Taken::Nothing,
    }
}

/// What has to be told once the lock is free.
enum Finished {
    Wake(Arc<Session>),
    Broken(Arc<Session>),
}

impl Finished {
    fn tell(self) {
        match self {
            Self::Wake(session) => session.wake(),
            Self::Broken(session) => session.command(Command::TransportClosed(CloseReason::TransportError)),
        }
    }
}

/// Puts back what a write left over; what of a job is not put back stays in it.
fn settle(state: &mut State, job: &mut Job, done: &mut Vec<Finished>) {
    let Some(outbox) = state.get(job.slot) else {
        // Its task has closed the session meanwhile, and may wait for what the flusher's look at the stream has made it miss.
        if job.outcome == Outcome::Blocked {
            done.extend(job.session.take().map(Finished::Wake));
        }
        return;
    };
    if outbox.mode != Mode::Flushing {
        return;
    }
    outbox.written = job.written;
    match job.outcome {
        Outcome::Done if outbox.queue.is_empty() => {
            outbox.bytes = 0;
            outbox.since = None;
            outbox.mode = Mode::Idle;
            outbox.wake_drained();
        }
        Outcome::Done => {
            outbox.bytes = outbox.queue.iter().map(|p| p.cost()).sum();
            outbox.mode = Mode::Dirty;
            let is_for_few = outbox.ahead;
            state.dirty.push(job.slot, is_for_few);
        }
        Outcome::Blocked => {
            job.queue.extend(outbox.queue.drain(..));
            outbox.queue = std::mem::take(&mut job.queue);
            outbox.bytes = outbox.queue.iter().map(|p| p.cost()).sum();
            outbox.mode = Mode::Blocked;
            outbox.since.get_or_insert_with(Instant::now);
            done.extend(outbox.session.clone().map(Finished::Wake));
        }
        Outcome::Failed => {
            job.queue.extend(outbox.queue.drain(..));
            outbox.bytes = 0;
            // Nobody knows where the stream is: nothing may follow, not even a close frame.
            outbox.written = 1;
            outbox.mode = Mode::Blocked;
            done.extend(outbox.session.clone().map(Finished::Broken));
        }
    }
}

/// Writes `queue` until it is empty or the stream takes no more; drops what is fully written and keeps in `written` how
/// much of the first packet is.
pub(crate) fn write(
    stream: &TcpStream,
    queue: &mut Queue,
    written: &mut usize,
    wire: Wire,
    total: &mut usize,
) -> Outcome {
    while !queue.is_empty() {
        let mut wanted = 0;
        let result = stream.try_io(Interest::WRITABLE, || {
            let socket = SockRef::from(stream);
            if let [packet] = &queue[..] {
                let (head, tail) = packet.ws(wire);
                if tail.is_empty() {
                    let rest = head.get(*written..).unwrap_or_default();
                    wanted = rest.len();
                    return socket.send_with_flags(rest, NO_SIGNAL);
                }
            }
            let mut slices = [IoSlice::new(&[]); SLICES];
            let count = gather(queue, *written, wire, &mut slices);
            wanted = slices[..count].iter().map(|s| s.len()).sum();
            if wanted == 0 { Ok(0) } else { socket.send_vectored_with_flags(&slices[..count], NO_SIGNAL) }
        });
        match result {
            Ok(n) => {
                *total += n;
                advance(queue, written, wire, n);
                if n < wanted {
                    return Outcome::Blocked;
                }
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Outcome::Blocked,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => return Outcome::Failed,
        }
    }
    Outcome::Done
}

/// Linux's MSG_NOSIGNAL: a broken stream is an error, not a signal, also in a process that is not Rust's own.
pub(crate) const NO_SIGNAL: i32 = if cfg!(target_os = "linux") { 0x4000 } else { 0 };
/// Slices in one vectored send.
const SLICES: usize = 64;

fn gather<'a>(queue: &'a Queue, written: usize, wire: Wire, slices: &mut [IoSlice<'a>; SLICES]) -> usize {
    let (mut count, mut skip) = (0, written);
    for packet in queue {
        let (head, tail) = packet.ws(wire);
        for part in [head, tail] {
            let skipped = skip.min(part.len());
            skip -= skipped;
            if part.len() > skipped {
                if count == SLICES {
                    return count;
                }
                slices[count] = IoSlice::new(&part[skipped..]);
                count += 1;
            }
        }
    }
    count
}

/// Drops the packets that `n` more bytes complete.
pub(crate) fn advance(queue: &mut Queue, written: &mut usize, wire: Wire, n: usize) {
    *written += n;
    let mut complete = 0;
    for packet in queue.iter() {
        let (head, tail) = packet.ws(wire);
        let len = head.len() + tail.len();
        if *written < len {
            break;
        }
        *written -= len;
        complete += 1;
    }
    if complete == queue.len() {
        queue.clear();
    } else {
        queue.drain(..complete);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shard::Class;
    use crate::uring::Batches;
    use crate::wire::{Budget, Packet};

    #[test]
    fn what_is_blocked_is_its_tasks_though_it_is_still_on_a_list() {
        let shard = Shard::new(0, 1_000, Budget::new(1_000_000), Batches::default());
        let slot = shard.with(|state| state.open(Wire::Ws4, Sink::Task));
        shard.push(slot, &Packet::control("2"), Class::Control);
        shard.with(|state| {
            state.get(slot).unwrap().mode = Mode::Blocked;
            assert!(matches!(take_own(state, slot), Taken::Task));
        });
    }
}
