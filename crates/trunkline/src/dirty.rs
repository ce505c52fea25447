//! The receivers that a shard's flusher has to write to: what is for few overtakes what is for many.
//!
//! An answer must not wait until a broadcast to many thousands is written; nor may answers hold a broadcast up for ever. So there are two
//! lists, and where both have receivers, they are taken in turn. What waits for one receiver leaves in order in any case: its outbox is
//! one queue.

use std::collections::VecDeque;

use crate::shard::Slot;

/// A packet for so many receivers is for few. Of one for more, the first so many are on their list too.
pub(crate) const FEW: usize = 16;

/// Receivers in mode `Dirty`; also some that were, which whoever takes them leaves out.
#[derive(Default)]
pub(crate) struct Dirty {
    few: VecDeque<Slot>,
    many: VecDeque<Slot>,
    /// Whose turn it is where both have receivers.
    is_turn_of_many: bool,
}

impl Dirty {
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.few.is_empty() && self.many.is_empty()
    }

    #[inline]
    pub(crate) fn push(&mut self, slot: Slot, is_for_few: bool) {
        if is_for_few { self.few.push_back(slot) } else { self.many.push_back(slot) }
    }

    /// Who is to be written next.
    #[inline]
    pub(crate) fn pop(&mut self) -> Option<Slot> {
        if self.few.is_empty() || (self.is_turn_of_many && !self.many.is_empty()) {
            self.is_turn_of_many = false;
            return self.many.pop_front();
        }
        self.is_turn_of_many = true;
        self.few.pop_front()
    }

    /// Takes `slot` if no other receiver is here.
    pub(crate) fn take_only(&mut self, slot: Slot) -> bool {
        let is_only = match (self.few.front(), self.many.front()) {
            (Some(front), None) => *front == slot && self.few.len() == 1,
            (None, Some(front)) => *front == slot && self.many.len() == 1,
            // Broadcast to, and then answered: on both lists.
            (Some(few), Some(many)) => *few == slot && *many == slot && self.few.len() + self.many.len() == 2,
            (None, None) => false,
        };
        if is_only {
            self.few.clear();
            self.many.clear();
        }
        is_only
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slot(index: u32) -> Slot {
        Slot { index, generation: 0 }
    }

    fn order(dirty: &mut Dirty) -> Vec<u32> {
        std::iter::from_fn(|| dirty.pop()).map(|slot| slot.index).collect()
    }

    #[test]
    fn answers_overtake_a_broadcast_and_do_not_hold_it_up() {
        let mut dirty = Dirty::default();
        (0..4).for_each(|index| dirty.push(slot(index), false));
        (10..13).for_each(|index| dirty.push(slot(index), true));
        assert_eq!(order(&mut dirty), [10, 0, 11, 1, 12, 2, 3]);
        dirty.push(slot(7), true);
        assert_eq!(order(&mut dirty), [7], "whose turn it was does not matter");
        assert!(dirty.is_empty());
    }

    #[test]
    fn one_receiver_is_taken_from_both_lists() {
        let mut dirty = Dirty::default();
        dirty.push(slot(1), false);
        dirty.push(slot(1), true);
        assert!(!dirty.take_only(slot(2)));
        assert!(dirty.take_only(slot(1)));
        assert!(dirty.is_empty());
        dirty.push(slot(1), true);
        dirty.push(slot(2), false);
        assert!(!dirty.take_only(slot(1)));
    }
}
