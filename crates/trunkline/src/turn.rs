//! A session's turn: while its task runs, the flusher of its shard is not woken.
//!
//! Most handlers answer their own client. At the turn's end the task writes that itself, right after reading, while what the
//! kernel keeps of the connection is in the cache ([`crate::flush::own`]); the flusher is woken only if others have to be written to.

use std::cell::Cell;
use std::ptr;

use crate::shard::Shard;

#[derive(Clone, Copy)]
struct Current {
    shard: *const Shard,
    /// The flusher would have been woken.
    is_wanted: bool,
}

thread_local! {
    static CURRENT: Cell<Current> = const { Cell::new(Current { shard: ptr::null(), is_wanted: false }) };
}

/// From the start of a session's turn to its end, which wakes the flusher if that was asked for meanwhile.
pub(crate) struct Turn<'a> {
    shard: &'a Shard,
    outer: Current,
}

impl<'a> Turn<'a> {
    /// On a runtime of one thread only: there the flusher could not run before the turn's end anyway, unless the shard's is another
    /// runtime's, where a handler that keeps its thread now delays what it has sent. Under a runtime of several threads
    /// a handler that blocks may wait for what the flusher sends.
    pub(crate) fn begin(shard: &'a Shard) -> Self {
        Self { shard, outer: CURRENT.replace(Current { shard, is_wanted: false }) }
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let ended = CURRENT.replace(self.outer);
        if ended.is_wanted {
            self.shard.with(|_| ());
        }
    }
}

/// Whether waking the flusher of `shard` is left to the end of the turn.
pub(crate) fn defers(shard: &Shard) -> bool {
    let current = CURRENT.get();
    let is_current = ptr::eq(current.shard, shard);
    if is_current {
        CURRENT.set(Current { is_wanted: true, ..current });
    }
    is_current
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::outbox::Sink;
    use crate::shard::Class;
    use crate::uring::Batches;
    use crate::wire::{Budget, Packet, Wire};
    use crate::woken::Woken;

    /// A shard whose flusher sleeps, and an outbox that is written by its session's task.
    fn shard() -> (Arc<Shard>, Arc<Woken>, crate::shard::Slot) {
        let shard = Shard::new(0, 1_000, Budget::new(1_000_000), Batches::default());
        let (flusher, waker) = Woken::new();
        let slot = shard.with(|state| {
            state.flusher = Some(waker);
            state.open(Wire::Ws4, Sink::Task)
        });
        (shard, flusher, slot)
    }

    #[test]
    fn the_flusher_is_woken_when_the_turn_ends() {
        let (shard, flusher, slot) = shard();
        let turn = Turn::begin(&shard);
        shard.push(slot, &Packet::control("2"), Class::Control);
        assert_eq!(flusher.times(), 0);
        drop(turn);
        assert_eq!(flusher.times(), 1);
    }

    #[test]
    fn a_turn_holds_up_its_own_shard_and_thread_only() {
        let (shard, flusher, slot) = shard();
        let (other, _, _) = self::shard();
        let _other = Turn::begin(&other);
        shard.push(slot, &Packet::control("2"), Class::Control);
        assert_eq!(flusher.times(), 1, "another shard's flusher");

        let (shard, flusher, slot) = self::shard();
        let _turn = Turn::begin(&shard);
        std::thread::scope(|scope| {
            scope.spawn(|| shard.push(slot, &Packet::control("2"), Class::Control));
        });
        assert_eq!(flusher.times(), 1, "an emit from another thread");
    }

    #[test]
    fn what_a_turn_wrote_itself_wakes_nobody() {
        let (shard, flusher, slot) = shard();
        let turn = Turn::begin(&shard);
        shard.push(slot, &Packet::control("2"), Class::Control);
        assert!(shard.with(|state| state.dirty.take_only(slot)));
        drop(turn);
        assert_eq!(flusher.times(), 0);
    }
}
