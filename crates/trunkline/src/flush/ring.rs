//! A shard's io_uring: the sends of a whole chunk in one system call. The only unsafe code of the workspace.
//!
//! **What the kernel is shown outlives its looking.** Bytes belong to packets that the jobs hold, to `merged`, or to TLS streams whose
//! locks are held; all stay until [`Ring::send`] returns, and it returns when each send is over, was never begun, or has been leaked
//! with its bytes. Sends never wait (`MSG_DONTWAIT`): the kernel finishes them inside the call that hands them over, so the
//! last of the three is for kernels that break their word.

#![expect(unsafe_code, reason = "the kernel is given addresses")]

use std::io;
use std::mem;
use std::ops::Range;
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
#[cfg(feature = "tls")]
use std::task::{Context, Waker};

use io_uring::{IoUring, Probe, opcode, types};
#[cfg(feature = "tls")]
use parking_lot::{ArcMutexGuard, RawMutex};

#[cfg(feature = "tls")]
use super::Outcome;
use super::{CHUNK, Job, Line, Sent};
#[cfg(feature = "tls")]
use crate::transport::websocket::{Stream, write_other};

/// A ring for as many sends as a chunk has receivers.
pub(crate) struct Ring {
    uring: IoUring,
    /// A ring is not to be had in a process that was forked off: its memory is not there.
    process: u32,
    /// Queues of several parts, put together so that each is one send. Never longer than `MERGED`, so it never moves.
    merged: Vec<u8>,
    /// Buffers for TLS records, empty.
    #[cfg(feature = "tls")]
    spare: Vec<Vec<u8>>,
}

/// A TLS stream whose records are on their way: nobody else uses it meanwhile.
#[cfg(feature = "tls")]
struct Sealed {
    /// Of its job.
    index: usize,
    stream: ArcMutexGuard<RawMutex, dyn Stream>,
    /// Bytes that the records carry.
    bytes: usize,
}

/// Bytes in all that are put together for one chunk.
const MERGED: usize = 64 * 1024;
/// Bytes put together for one receiver: for longer ones a vectored send is cheaper than the copy.
const MERGE: usize = 8 * 1024;
/// Bytes of a buffer for TLS records that is kept for the next chunk.
#[cfg(feature = "tls")]
const SPARE: usize = 2 * 1024;

impl Ring {
    /// Makes a ring and sends a byte through it.
    ///
    /// # Errors
    /// Where the kernel has no io_uring, forbids it, lacks what is needed, or grants no memory.
    pub(crate) fn new() -> io::Result<Self> {
        let entries = u32::try_from(CHUNK).unwrap_or(u32::MAX);
        let uring = IoUring::builder().dontfork().build(entries)?;
        let mut probe = Probe::new();
        uring.submitter().register_probe(&mut probe)?;
        if !probe.is_supported(opcode::Send::CODE) || !uring.params().is_feature_nodrop() {
            return Err(io::Error::new(
                io::ErrorKind::Unsupported,
                "the kernel is too old for it (5.6 is needed)",
            ));
        }
        let mut ring = Self {
            uring,
            process: std::process::id(),
            merged: Vec::new(),
            #[cfg(feature = "tls")]
            spare: Vec::new(),
        };
        ring.try_out()?;
        Ok(ring)
    }

    /// Whether it is used in the process that made it.
    pub(crate) fn is_at_home(&self) -> bool {
        self.process == std::process::id()
    }

    /// What may be set up may still be forbidden to be used.
    fn try_out(&mut self) -> io::Result<()> {
        let (ours, theirs) = UnixStream::pair()?;
        let mut result = 0;
        // SAFETY: the byte is a constant; what it is pushed for is waited for here, or the ring is dropped.
        let pushed = unsafe { self.push(0, ours.as_raw_fd(), b"x".as_ptr(), 1) };
        if pushed {
            self.finish(1, |_, n| result = n).map_err(|(error, _)| error)?;
        }
        drop(theirs);
        match result {
            1 => Ok(()),
            n => Err(io::Error::from_raw_os_error(-n.min(0))),
        }
    }

    /// Sends what `jobs` have, each as much as fits into one send, and notes what became of it; leaves those out that are
    /// better sent otherwise. Gives how many it sent.
    ///
    /// # Errors
    /// When it must not be used any more; the notes are right all the same.
    pub(crate) fn send(&mut self, jobs: &mut [Job]) -> io::Result<usize> {
        if !self.uring.submission().is_empty() {
            // Left behind by an error or a panic: what these point to may be gone, so nothing may be handed over any more.
            return Err(io::Error::other("sends were left behind"));
        }
        self.merged.clear();
        let mut pushed = 0;
        let mut last: Option<(usize, Range<usize>)> = None;
        #[cfg(feature = "tls")]
        let mut sealed = Vec::new();
        for index in 0..jobs.len() {
            #[cfg(feature = "tls")]
            if let Some(job) = jobs.get_mut(index)
                && let Some(mut records) = self.seal(index, job)
            {
                let Some(corked) = records.stream.corked() else { continue };
                let (fd, start, len) = (corked.stream.as_raw_fd(), corked.out.as_ptr(), corked.out.len());
                // SAFETY: the bytes belong to the stream, whose lock `sealed` holds until `finish` has said that the send is over or
                // never began; where it cannot, `unseal` leaks them.
                let is_pushed = unsafe { self.push(index, fd, start, len) };
                job.sent = if is_pushed { Sent::Pending(len) } else { Sent::No };
                pushed += usize::from(is_pushed);
                sealed.push(records);
                continue;
            }
            let Some(job) = jobs.get(index) else { break };
            let Line::Tcp(stream) = &job.stream else { continue };
            let bytes = match single(job) {
                Some(bytes) => bytes,
                None => {
                    let known =
                        last.take().filter(|(other, _)| jobs.get(*other).is_some_and(|it| equal(it, job)));
                    let Some(range) = known.map(|(_, range)| range).or_else(|| self.merge(job)) else {
                        continue;
                    };
                    last = Some((index, range.clone()));
                    self.merged.get(range).unwrap_or_default()
                }
            };
            let (fd, start, len) = (stream.as_raw_fd(), bytes.as_ptr(), bytes.len());
            // SAFETY: the bytes belong to a packet that `job` holds or to `merged`, which grows within its capacity only. Both
            // stay until `finish` has said that the send is over or never began; where it cannot, `abandon` leaks them.
            if len == 0 || !unsafe { self.push(index, fd, start, len) } {
                continue;
            }
            pushed += 1;
            if let Some(job) = jobs.get_mut(index) {
                job.sent = Sent::Pending(len);
            }
        }
        let result = self.finish(pushed, |index, result| {
            if let Some(job) = jobs.get_mut(index)
                && let Sent::Pending(len) = job.sent
            {
                job.sent = outcome(result, len);
            }
        });
        let result = result.map_err(|(error, never_begun)| {
            self.abandon(jobs, never_begun);
            error
        });
        #[cfg(feature = "tls")]
        for records in sealed {
            self.unseal(records, jobs, result.is_err());
        }
        result.map(|()| pushed)
    }

    /// Makes records of what waits for a TLS stream of ours, which keeps them.
    #[cfg(feature = "tls")]
    fn seal(&mut self, index: usize, job: &mut Job) -> Option<Sealed> {
        let Line::Other(stream) = &job.stream else { return None };
        let len: usize = job
            .queue
            .iter()
            .map(|packet| packet.ws(job.wire))
            .map(|(head, tail)| head.len() + tail.len())
            .sum();
        let mut stream = stream.lock_arc();
        // What the stream has not taken yet goes first, and waits until it takes more.
        let corked = stream.corked().filter(|corked| corked.out.is_empty() && len <= MERGE)?;
        corked.keeps = true;
        corked.out = self.spare.pop().unwrap_or_default();
        let (cx, mut bytes) = (&mut Context::from_waker(Waker::noop()), 0);
        let outcome = write_other(&mut *stream, cx, &mut job.queue, &mut job.written, job.wire, &mut bytes);
        if let Some(corked) = stream.corked() {
            corked.keeps = false;
        }
        if outcome == Outcome::Done {
            return Some(Sealed { index, stream, bytes });
        }
        job.sent = Sent::Encrypted(bytes, Some(Outcome::Failed));
        None
    }

    /// Notes what became of a stream's records, and lets the stream go. `has_failed`: of some sends nobody knows.
    #[cfg(feature = "tls")]
    fn unseal(&mut self, mut records: Sealed, jobs: &mut [Job], has_failed: bool) {
        let (Some(job), Some(corked)) = (jobs.get_mut(records.index), records.stream.corked()) else {
            return;
        };
        let outcome = match job.sent {
            Sent::Bytes(n, len) if n == len => {
                let mut buffer = mem::take(&mut corked.out);
                buffer.clear();
                if buffer.capacity() <= SPARE && self.spare.len() < CHUNK {
                    self.spare.push(buffer);
                }
                Some(Outcome::Done)
            }
            Sent::Bytes(n, _) => {
                corked.out.drain(..n);
                Some(Outcome::Blocked)
            }
            Sent::Blocked => Some(Outcome::Blocked),
            Sent::Failed => {
                if has_failed {
                    mem::forget(mem::take(&mut corked.out));
                }
                Some(Outcome::Failed)
            }
            Sent::No | Sent::Pending(_) | Sent::Encrypted(..) => None,
        };
        job.sent = Sent::Encrypted(records.bytes, outcome);
    }

    /// Puts the parts of a queue together.
    fn merge(&mut self, job: &Job) -> Option<Range<usize>> {
        let parts = || job.queue.iter().map(|packet| packet.ws(job.wire));
        let len = parts().map(|(head, tail)| head.len() + tail.len()).sum::<usize>();
        let start = self.merged.len();
        if len > MERGE || start + len > MERGED {
            return None;
        }
        if self.merged.capacity() < MERGED {
            // Nothing was pushed from it yet: it is empty.
            debug_assert!(self.merged.is_empty());
            self.merged.reserve_exact(MERGED);
        }
        for (head, tail) in parts() {
            self.merged.extend_from_slice(head);
            self.merged.extend_from_slice(tail);
        }
        Some(start + job.written..start + len)
    }

    /// Queues a send; false if there is no room for it. Nothing is done before [`Ring::finish`].
    ///
    /// # Safety
    /// The `len` bytes at `start` must stay as they are until `finish` has given the result for `index`, or has counted it
    /// among those that were never begun; or else for ever.
    unsafe fn push(&mut self, index: usize, fd: RawFd, start: *const u8, len: usize) -> bool {
        let Ok(len) = u32::try_from(len) else { return false };
        let send = opcode::Send::new(types::Fd(fd), start, len)
            .flags(libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL)
            .build()
            .user_data(index as u64);
        // SAFETY: the caller keeps the bytes; an invalid descriptor would be an error of that send.
        unsafe { self.uring.submission().push(&send) }.is_ok()
    }

    /// Hands over what was pushed and waits until all of it is over, which it is when the call returns: sends do not
    /// wait. An error comes with how many of the pushed, the last ones, were never begun, and never will be if the ring is not used again.
    fn finish(&mut self, pushed: usize, mut over: impl FnMut(usize, i32)) -> Result<(), (io::Error, usize)> {
        let mut open = pushed;
        while open > 0 {
            let entered = self.uring.submit_and_wait(open);
            for completion in self.uring.completion() {
                open = open.saturating_sub(1);
                over(usize::try_from(completion.user_data()).unwrap_or(usize::MAX), completion.result());
            }
            match entered {
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) if open == 0 => {}
                Err(error) => return Err((error, self.uring.submission().len())),
            }
        }
        Ok(())
    }

    /// After an error: `never_begun` of the pushed, the last ones, are for others to send. Of the rest nobody knows, and the
    /// kernel may look at their bytes for ever: these are leaked.
    fn abandon(&mut self, jobs: &mut [Job], never_begun: usize) {
        let pending = |job: &&mut Job| matches!(job.sent, Sent::Pending(_));
        let (mut fresh, mut lost) = (never_begun, false);
        for job in jobs.iter_mut().rev().filter(pending) {
            if fresh > 0 {
                fresh -= 1;
                job.sent = Sent::No;
            } else {
                job.sent = Sent::Failed;
                lost = true;
                mem::forget(job.queue.clone());
            }
        }
        if lost {
            mem::forget(mem::take(&mut self.merged));
        }
    }
}

/// What is to be sent, if it is in one piece.
fn single(job: &Job) -> Option<&[u8]> {
    let [packet] = &job.queue[..] else { return None };
    let (head, tail) = packet.ws(job.wire);
    if tail.is_empty() { Some(head.get(job.written..).unwrap_or_default()) } else { None }
}

/// Whether two receivers are sent the same bytes.
fn equal(a: &Job, b: &Job) -> bool {
    a.wire == b.wire
        && a.written == b.written
        && a.queue.len() == b.queue.len()
        && a.queue.iter().zip(&b.queue).all(|(a, b)| Arc::ptr_eq(a, b))
}

fn outcome(result: i32, len: usize) -> Sent {
    match usize::try_from(result) {
        Ok(n) => Sent::Bytes(n, len),
        Err(_) => match -result {
            libc::EAGAIN => Sent::Blocked,
            // Nothing was sent, and not because of the stream.
            libc::EINTR | libc::ECANCELED | libc::EINVAL | libc::EOPNOTSUPP | libc::ENOMEM => Sent::No,
            _ => Sent::Failed,
        },
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::net::{TcpListener, TcpStream};

    use io_uring::squeue;

    use super::*;
    use crate::flush::Outcome;
    use crate::shard::Slot;
    use crate::uring::Batches;
    use crate::wire::{Budget, Packet, Queue, Wire};

    /// A ring, where one is to be had. Elsewhere there is nothing to be tested.
    fn ring() -> Option<Ring> {
        Ring::new().inspect_err(|error| eprintln!("skipped: {error}")).ok()
    }

    fn packet(text: &str) -> Arc<Packet> {
        Packet::text(text, &Budget::new(usize::MAX))
    }

    /// A receiver for whom `packets` wait, and its other end.
    async fn job(packets: &[Arc<Packet>]) -> (Job, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let theirs = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (ours, _) = listener.accept().unwrap();
        ours.set_nonblocking(true).unwrap();
        let stream = Arc::new(tokio::net::TcpStream::from_std(ours).unwrap());
        // Before the runtime has looked, it takes no stream for writable.
        stream.writable().await.unwrap();
        let stream = Line::Tcp(stream);
        let slot = Slot { index: 0, generation: 0 };
        let queue: Queue = packets.iter().cloned().collect();
        let (sent, outcome) = (Sent::No, Outcome::Done);
        (Job { slot, stream, queue, written: 0, wire: Wire::Ws4, sent, outcome, session: None }, theirs)
    }

    async fn jobs(queues: &[Vec<Arc<Packet>>]) -> (Vec<Job>, Vec<TcpStream>) {
        let (mut jobs, mut ends) = (Vec::new(), Vec::new());
        for queue in queues {
            let (job, end) = job(queue).await;
            jobs.push(job);
            ends.push(end);
        }
        (jobs, ends)
    }

    fn wire(packets: &[Arc<Packet>]) -> Vec<u8> {
        packets.iter().flat_map(|packet| packet.ws(Wire::Ws4).0).copied().collect()
    }

    fn read(stream: &mut TcpStream, len: usize) -> Vec<u8> {
        let mut bytes = vec![0; len];
        stream.read_exact(&mut bytes).unwrap();
        bytes
    }

    /// All that came until the job's stream was closed.
    fn read_all(job: Job, mut theirs: TcpStream) -> Vec<u8> {
        drop(job);
        let mut bytes = Vec::new();
        theirs.read_to_end(&mut bytes).unwrap();
        bytes
    }

    #[tokio::test]
    async fn each_receiver_gets_its_own_bytes() {
        let Some(mut ring) = ring() else { return };
        let (one, two, long) = (packet("one"), packet("two"), packet(&"x".repeat(MERGE)));
        // One packet; the same two for three; two others; one that was begun; too much to be put together.
        let both = vec![one.clone(), two.clone()];
        let queues = [
            vec![one.clone()],
            both.clone(),
            both.clone(),
            vec![two.clone()],
            both.clone(),
            vec![two.clone(), one.clone()],
            both.clone(),
            vec![one.clone(), long.clone()],
        ];
        for _ in 0..3 {
            let (mut jobs, mut ends) = jobs(&queues).await;
            jobs[6].written = 3;
            assert_eq!(ring.send(&mut jobs).unwrap(), 7);
            assert_eq!(jobs[7].sent, Sent::No);
            let mut total = 0;
            for job in &mut jobs {
                assert_eq!(job.finish(&mut total), Outcome::Done);
                assert!(job.queue.is_empty());
                assert_eq!(job.written, 0);
            }
            let mut sum = 0;
            for (index, (queue, end)) in queues.iter().zip(&mut ends).enumerate() {
                let bytes = wire(queue);
                let bytes = &bytes[if index == 6 { 3 } else { 0 }..];
                assert_eq!(read(end, bytes.len()), bytes, "{index}");
                sum += bytes.len();
            }
            assert_eq!(total, sum);
        }
    }

    #[tokio::test]
    async fn more_jobs_than_places_are_left_to_others() {
        let Some(mut ring) = ring() else { return };
        let one = [packet("one")];
        let (mut jobs, mut ends) = jobs(&vec![one.to_vec(); CHUNK + 10]).await;
        assert_eq!(ring.send(&mut jobs).unwrap(), CHUNK);
        for (job, end) in jobs.iter_mut().zip(&mut ends) {
            assert_eq!(job.finish(&mut 0), Outcome::Done);
            let bytes = wire(&one);
            assert_eq!(read(end, bytes.len()), bytes);
        }
    }

    #[tokio::test]
    async fn a_full_stream_is_blocked_and_goes_on_where_it_was() {
        let Some(mut ring) = ring() else { return };
        let long = packet(&"x".repeat(32 << 20));
        let (job, mut end) = job(&[long.clone(), packet("end")]).await;
        let mut jobs = [job];
        jobs[0].queue.truncate(1);
        assert_eq!(ring.send(&mut jobs).unwrap(), 1);
        let Sent::Bytes(n, len) = jobs[0].sent else { panic!("{:?}", jobs[0].sent) };
        assert!(0 < n && n < len);
        let mut total = 0;
        assert_eq!(jobs[0].finish(&mut total), Outcome::Blocked);
        assert_eq!((jobs[0].written, jobs[0].queue.len(), total), (n, 1, n));
        // Until it takes nothing at all.
        let blocked = loop {
            assert_eq!(ring.send(&mut jobs).unwrap(), 1);
            match jobs[0].sent {
                Sent::Bytes(..) => assert_eq!(jobs[0].finish(&mut total), Outcome::Blocked),
                other => break other,
            }
        };
        assert_eq!(blocked, Sent::Blocked);
        assert_eq!(jobs[0].finish(&mut total), Outcome::Blocked);
        assert_eq!(read(&mut end, total), wire(&[long])[..total]);
    }

    #[tokio::test]
    async fn a_broken_stream_has_failed_and_the_others_are_sent() {
        let Some(mut ring) = ring() else { return };
        let one = packet("one");
        let (first, first_end) = job(std::slice::from_ref(&one)).await;
        let (second, mut second_end) = job(std::slice::from_ref(&one)).await;
        socket2::SockRef::from(&first_end).set_linger(Some(std::time::Duration::ZERO)).unwrap();
        drop(first_end);
        let mut jobs = [first, second];
        assert_eq!(ring.send(&mut jobs).unwrap(), 2);
        assert_eq!(jobs[0].finish(&mut 0), Outcome::Failed);
        assert_eq!(jobs[1].finish(&mut 0), Outcome::Done);
        let bytes = wire(&[one]);
        assert_eq!(read(&mut second_end, bytes.len()), bytes);
    }

    /// An entry that the kernel refuses ends its reading of the queue: the rest is handed over by another call.
    #[tokio::test]
    async fn what_a_call_leaves_behind_is_handed_over_by_the_next() {
        let Some(mut ring) = ring() else { return };
        let bad = opcode::Nop::new().build().flags(squeue::Flags::BUFFER_SELECT).user_data(7);
        // SAFETY: it has no bytes.
        unsafe { ring.uring.submission().push(&bad) }.unwrap();
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        // SAFETY: the byte is a constant.
        assert!(unsafe { ring.push(8, ours.as_raw_fd(), b"x".as_ptr(), 1) });
        let mut results = Vec::new();
        ring.finish(2, |index, result| results.push((index, result))).unwrap();
        assert!(matches!(results[..], [(7, ..=-1), (8, 1)]), "{results:?}");
        theirs.read_exact(&mut [0]).unwrap();
    }

    #[tokio::test]
    async fn a_ring_that_fails_sends_nothing_and_others_send_all_once() {
        let Some(mut ring) = ring() else { return };
        // From now on its descriptor is something else.
        let null = std::fs::File::open("/dev/null").unwrap();
        // SAFETY: both descriptors are open, and the ring closes its own, whatever that is.
        assert!(unsafe { libc::dup2(null.as_raw_fd(), ring.uring.as_raw_fd()) } >= 0);
        let queue = [packet("one"), packet("two")];
        let (mut jobs, ends) = jobs(&vec![queue.to_vec(); 5]).await;
        ring.send(&mut jobs).unwrap_err();
        ring.send(&mut jobs).expect_err("what it was given before is not handed over later");
        drop(ring);
        for (mut job, end) in jobs.into_iter().zip(ends) {
            assert_eq!(job.sent, Sent::No);
            assert_eq!(job.finish(&mut 0), Outcome::Done);
            assert_eq!(read_all(job, end), wire(&queue));
        }
    }

    #[tokio::test]
    async fn a_process_that_was_forked_off_makes_a_ring_of_its_own() {
        let Some(mut ring) = ring() else { return };
        ring.process = 0;
        let batches = Batches::with(ring);
        let one = [packet("one")];
        let (mut jobs, mut ends) = jobs(&vec![one.to_vec(); 3]).await;
        assert_eq!(batches.send(&mut jobs), 3);
        for end in &mut ends {
            let bytes = wire(&one);
            assert_eq!(read(end, bytes.len()), bytes);
        }
    }

    #[tokio::test]
    async fn bytes_of_which_nobody_knows_are_kept_for_ever() {
        let Some(mut ring) = ring() else { return };
        let (one, two) = (packet("one"), packet("two"));
        let (first, _first_end) = job(&[one.clone(), one.clone()]).await;
        let (second, _second_end) = job(std::slice::from_ref(&two)).await;
        let mut jobs = [first, second];
        jobs[0].sent = Sent::Pending(1);
        jobs[1].sent = Sent::Pending(1);
        ring.merged.push(0);
        ring.abandon(&mut jobs, 1);
        assert_eq!([jobs[0].sent, jobs[1].sent], [Sent::Failed, Sent::No]);
        assert_eq!(jobs[0].finish(&mut 0), Outcome::Failed);
        assert_eq!(ring.merged.capacity(), 0);
        drop(jobs);
        assert_eq!(Arc::strong_count(&one), 3);
        assert_eq!(Arc::strong_count(&two), 1);
    }
}
