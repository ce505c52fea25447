//! Events emitted while the socket was not connected.

use std::collections::{HashSet, VecDeque};
use std::time::Instant;

use super::Message;
use crate::config::OfflineBuffer;
use crate::error::EmitError;

/// Keeps messages in order, by a policy and never above a number of bytes.
#[derive(Debug)]
pub(super) struct SendBuffer {
    policy: OfflineBuffer,
    max_bytes: usize,
    bytes: usize,
    kept: VecDeque<Kept>,
}

#[derive(Debug)]
struct Kept {
    /// The ack id, if an answer is wanted.
    id: Option<u64>,
    message: Message,
    since: Instant,
}

impl SendBuffer {
    pub(super) fn new(policy: OfflineBuffer, max_bytes: usize) -> Self {
        Self { policy, max_bytes, bytes: 0, kept: VecDeque::new() }
    }

    /// Keeps a message; gives the ack ids of those that were dropped for it.
    pub(super) fn push(
        &mut self,
        id: Option<u64>,
        message: Message,
        now: Instant,
    ) -> Result<Vec<u64>, EmitError> {
        let size = message.size();
        let limit = match self.policy {
            OfflineBuffer::None | OfflineBuffer::Last(0) => return Err(EmitError::Closed),
            _ if size > self.max_bytes => return Err(EmitError::Full),
            OfflineBuffer::Last(limit) => limit,
            OfflineBuffer::Younger(_) => usize::MAX,
            OfflineBuffer::All => {
                if size > self.max_bytes - self.bytes {
                    return Err(EmitError::Full);
                }
                usize::MAX
            }
        };
        let mut dropped = self.expire(now);
        // Here the newest counts, so the oldest make room.
        while self.kept.len() >= limit || size > self.max_bytes - self.bytes {
            match self.pop() {
                Some(oldest) => dropped.extend(oldest.id),
                None => break,
            }
        }
        self.bytes += size;
        self.kept.push_back(Kept { id, message, since: now });
        Ok(dropped)
    }

    /// Drops what is too old; gives the ack ids.
    pub(super) fn expire(&mut self, now: Instant) -> Vec<u64> {
        let OfflineBuffer::Younger(age) = self.policy else { return Vec::new() };
        let mut dropped = Vec::new();
        while self.kept.front().is_some_and(|kept| now.saturating_duration_since(kept.since) >= age) {
            dropped.extend(self.pop().and_then(|kept| kept.id));
        }
        dropped
    }

    /// The oldest message.
    pub(super) fn next(&mut self) -> Option<Message> {
        self.pop().map(|kept| kept.message)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.kept.is_empty()
    }

    /// The ack ids of the events that wait here.
    pub(super) fn ids(&self) -> HashSet<u64> {
        self.kept.iter().filter_map(|kept| kept.id).collect()
    }

    /// Takes the event with this ack id out: nobody waits for it any more.
    pub(super) fn remove(&mut self, id: u64) {
        if let Some(index) = self.kept.iter().position(|kept| kept.id == Some(id))
            && let Some(kept) = self.kept.remove(index)
        {
            self.bytes -= kept.message.size();
        }
    }

    fn pop(&mut self) -> Option<Kept> {
        let kept = self.kept.pop_front()?;
        self.bytes -= kept.message.size();
        if self.kept.is_empty() {
            self.kept = VecDeque::new();
        }
        Some(kept)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn message(text: &'static str) -> Message {
        Message { head: text.into(), binary: false, attachments: Vec::new() }
    }

    /// 80 bytes.
    const LONG: &str = "01234567890123456789012345678901234567890123456789012345678901234567890123456789";

    fn drain(buffer: &mut SendBuffer) -> Vec<String> {
        std::iter::from_fn(|| buffer.next())
            .map(|message| String::from_utf8(message.head.to_vec()).unwrap())
            .collect()
    }

    #[test]
    fn all_keeps_order_and_refuses_at_the_bound() {
        let now = Instant::now();
        let mut buffer = SendBuffer::new(OfflineBuffer::All, 4 + 2 * 64);
        assert_eq!(buffer.push(None, message("ab"), now), Ok(vec![]));
        assert_eq!(buffer.push(Some(1), message("cd"), now), Ok(vec![]));
        assert_eq!(buffer.push(None, message("e"), now), Err(EmitError::Full));
        buffer.remove(1);
        assert_eq!(buffer.push(None, message("e"), now), Ok(vec![]));
        assert_eq!(drain(&mut buffer), ["ab", "e"]);
        assert_eq!(buffer.bytes, 0);
    }

    #[test]
    fn last_drops_the_oldest_by_number_and_by_bytes() {
        let now = Instant::now();
        let mut buffer = SendBuffer::new(OfflineBuffer::Last(2), 5 + 2 * 64);
        assert_eq!(buffer.push(Some(1), message("a"), now), Ok(vec![]));
        assert_eq!(buffer.push(Some(2), message("b"), now), Ok(vec![]));
        assert_eq!(buffer.push(Some(3), message("c"), now), Ok(vec![1]));
        assert_eq!(buffer.push(None, message("12345"), now), Ok(vec![2, 3]));
        assert_eq!(buffer.push(None, message(LONG), now), Err(EmitError::Full));
        assert_eq!(drain(&mut buffer), ["12345"]);
    }

    #[test]
    fn younger_drops_by_age() {
        let start = Instant::now();
        let mut buffer = SendBuffer::new(OfflineBuffer::Younger(Duration::from_secs(10)), 1000);
        buffer.push(Some(1), message("old"), start).unwrap();
        buffer.push(Some(2), message("new"), start + Duration::from_secs(5)).unwrap();
        assert_eq!(buffer.expire(start + Duration::from_secs(12)), [1]);
        assert_eq!(buffer.ids(), HashSet::from([2]));
        assert_eq!(drain(&mut buffer), ["new"]);
    }

    #[test]
    fn none_refuses() {
        let mut buffer = SendBuffer::new(OfflineBuffer::None, 100);
        assert_eq!(buffer.push(None, message("a"), Instant::now()), Err(EmitError::Closed));
    }
}
