//! A shard's io_uring: the sends of a whole chunk in one system call. The only unsafe code of the workspace.
//!
//! **What the kernel is shown outlives its looking.** Bytes belong to packets that the jobs hold, or to `merged`; both are
//! borrowed until [`Ring::send`] returns, and it returns when each send is over, was never begun, or has been leaked with its
//! bytes. Sends never wait (`MSG_DONTWAIT`): the kernel finishes them inside the call that hands them over, so the
//! last of the three is for kernels that break their word.

#![expect(unsafe_code, reason = "the kernel is given addresses")]

use std::io;
use std::mem;
use std::ops::Range;
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::net::UnixStream;
use std::sync::Arc;

use io_uring::{IoUring, Probe, opcode, types};

use super::{CHUNK, Job, Sent};

/// A ring for as many sends as a chunk has receivers.
pub(crate) struct Ring {
    uring: IoUring,
    /// Queues of several parts, put together so that each is one send. Never longer than `MERGED`, so it never moves.
    merged: Vec<u8>,
}

/// Bytes in all that are put together for one chunk.
const MERGED: usize = 64 * 1024;
/// Bytes put together for one receiver: for longer ones a vectored send is cheaper than the copy.
const MERGE: usize = 8 * 1024;

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
            return Err(io::Error::new(io::ErrorKind::Unsupported, "the kernel is too old for it (5.6 is needed)"));
        }
        let mut ring = Self { uring, merged: Vec::new() };
        ring.try_out()?;
        Ok(ring)
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
    /// better sent otherwise. After an error it must not be used any more; the notes are right all the same.
    pub(crate) fn send(&mut self, jobs: &mut [Job]) -> io::Result<()> {
        self.merged.clear();
        let mut pushed = 0;
        let mut last: Option<(usize, Range<usize>)> = None;
        for index in 0..jobs.len() {
            let Some(job) = jobs.get(index) else { break };
            let bytes = match single(job) {
                Some(bytes) => bytes,
                None => {
                    let known = last.take().filter(|(other, _)| jobs.get(*other).is_some_and(|it| equal(it, job)));
                    let Some(range) = known.map(|(_, range)| range).or_else(|| self.merge(job)) else { continue };
                    last = Some((index, range.clone()));
                    self.merged.get(range).unwrap_or_default()
                }
            };
            let (fd, start, len) = (job.stream.as_raw_fd(), bytes.as_ptr(), bytes.len());
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
        result.map_err(|(error, never_begun)| {
            self.abandon(jobs, never_begun);
            error
        })
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
