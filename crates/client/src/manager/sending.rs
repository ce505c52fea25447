//! The machine's sending side: events now, later or again, and their answers.

use std::collections::BTreeSet;
use std::time::Instant;

use trunkline_proto::eio::Moment;
use trunkline_proto::sio::{Args, with_ack_id};

use super::message::{Asked, Emit, Message, NoAnswer, Nsp, Output};
use super::namespace::{Queued, Waiting};
use super::{Link, Manager, later};
use crate::error::EmitError;

impl<W> Manager<W> {
    /// Sends an event, or keeps it. With an error nothing was taken.
    pub(crate) fn emit(&mut self, nsp: Nsp, emit: Emit<W>, moment: Moment) -> Result<(), EmitError> {
        self.doubt(moment);
        let now = moment.monotonic;
        let max_offline = self.settings.limits.max_offline;
        let Some(namespace) = self.namespaces.get_mut(nsp.0) else { return Err(EmitError::Closed) };
        if self.is_shut {
            return Err(EmitError::Closed);
        }
        let Emit { message, ack, volatile } = emit;
        if namespace.sending.retries.is_some()
            && !volatile
            && let Some(asked) = ack
        {
            let queued = Queued { message, asked, tries: 0, pending: None };
            namespace.queue.push(queued, max_offline).map_err(|_| EmitError::Full)?;
            self.try_queue(nsp, now);
            return Ok(());
        }
        if volatile && !(self.is_writable() && self.is_ready(nsp)) {
            // Dropped, as asked for; an answer cannot come, and a wait for it ends by its timeout in the reference.
            match ack {
                Some(Asked { timeout: None, waiter: Some(waiter), .. }) => {
                    let result = Err(NoAnswer::Disconnected);
                    self.outputs.push_back(Output::Answer { waiter, result });
                }
                Some(asked) => self.wait(nsp, asked, false, now),
                None => {}
            }
            return Ok(());
        }
        if self.is_ready(nsp) {
            if message.size() > self.room() {
                return Err(EmitError::Full);
            }
            if let Some(asked) = ack {
                self.wait(nsp, asked, false, now);
            }
            self.send(nsp, message, true);
            return Ok(());
        }
        let id = ack.as_ref().map(|asked| asked.id);
        let Some(namespace) = self.namespaces.get_mut(nsp.0) else { return Err(EmitError::Closed) };
        let dropped = namespace.unsent.push(id, message, now)?;
        if let Some(asked) = ack {
            self.wait(nsp, asked, false, now);
        }
        for id in dropped {
            self.end_ack(nsp, id, NoAnswer::Disconnected, now);
        }
        Ok(())
    }

    /// Sends the answer to an event of connection `session`.
    pub(crate) fn send_answer(&mut self, nsp: Nsp, session: u64, message: Message) -> Result<(), EmitError> {
        let is_current =
            self.namespaces.get(nsp.0).is_some_and(|ns| ns.is_connected() && ns.session == session);
        if !is_current {
            return Err(EmitError::Closed);
        }
        // As many answers as events may wait: they are bounded by what is read, not by the send buffer.
        self.send(nsp, message, false);
        Ok(())
    }

    /// Nobody waits for this answer any more.
    pub(crate) fn forget(&mut self, nsp: Nsp, id: u64) {
        let Some(namespace) = self.namespaces.get_mut(nsp.0) else { return };
        let queued = namespace.queue.waiting.iter_mut().find(|queued| queued.asked.id == id);
        if let Some(queued) = queued {
            // It is still to be delivered.
            queued.asked.waiter = None;
            return;
        }
        if let Some(waiting) = namespace.acks.remove(&id) {
            forget_deadline(&mut self.deadlines, waiting.deadline, nsp, id);
        }
    }

    /// Whether a volatile event would leave at once.
    fn is_writable(&self) -> bool {
        match self.link {
            Link::Open { is_doubtful, .. } => !is_doubtful && self.transport.1 && self.unsent == 0,
            Link::Closed | Link::Opening => false,
        }
    }

    /// After a long sleep the connection is not to be trusted, before anybody else has noticed (`_hasPingExpired`).
    fn doubt(&mut self, now: Moment) {
        if let Link::Open { expires, is_doubtful, is_read: true, .. } = &mut self.link {
            *is_doubtful |= now.monotonic >= expires.monotonic || now.wall >= expires.wall;
        }
    }

    /// Whether events can be sent.
    fn is_ready(&self, nsp: Nsp) -> bool {
        matches!(self.link, Link::Open { is_doubtful: false, .. }) && self.is_connected(nsp)
    }

    /// Bytes that may still be queued.
    fn room(&self) -> usize {
        self.settings.limits.max_send_buffer.saturating_sub(self.unsent).saturating_sub(self.transport.0)
    }

    pub(super) fn send(&mut self, nsp: Nsp, message: Message, is_event: bool) {
        self.unsent += message.size();
        self.outputs.push_back(Output::Send { nsp, message, is_event });
    }

    /// `emitBuffered` of the reference.
    pub(super) fn send_kept(&mut self, nsp: Nsp, now: Instant) {
        self.expire_kept(nsp, now);
        while let Some(message) = self.namespaces.get_mut(nsp.0).and_then(|ns| ns.unsent.next()) {
            self.send(nsp, message, true);
        }
    }

    fn expire_kept(&mut self, nsp: Nsp, now: Instant) {
        let Some(namespace) = self.namespaces.get_mut(nsp.0) else { return };
        for id in namespace.unsent.expire(now) {
            self.end_ack(nsp, id, NoAnswer::Disconnected, now);
        }
    }

    /// `_drainQueue` of the reference: tries the first event, unless its answer is being waited for. Each try has an ack id of
    /// its own; the id of one that is over (`clear_acks`, its timeout) is nobody's any more, so that a late answer counts for
    /// nothing. A server that handles each event once gives all tries one answer, and knows them by one id.
    pub(super) fn try_queue(&mut self, nsp: Nsp, now: Instant) {
        if !self.is_ready(nsp) {
            return;
        }
        let parser = self.settings.parser;
        let Some(namespace) = self.namespaces.get_mut(nsp.0) else { return };
        let Some(first) = namespace.queue.waiting.front().filter(|first| first.pending.is_none()) else {
            return;
        };
        let (mut id, mut message, timeout) = (first.asked.id, first.message.clone(), first.asked.timeout);
        if first.tries > 0 && !namespace.keeps_ids {
            id = namespace.next_ack_id();
            message.head = with_ack_id(parser, &namespace.name, &message.head, id).into();
        }
        if let Some(first) = namespace.queue.waiting.front_mut() {
            first.pending = Some(id);
            first.tries += 1;
        }
        self.wait(nsp, Asked { id, waiter: None, timeout }, true, now);
        self.send(nsp, message, true);
    }

    /// Expects an answer.
    fn wait(&mut self, nsp: Nsp, asked: Asked<W>, is_retry: bool, now: Instant) {
        let Some(namespace) = self.namespaces.get_mut(nsp.0) else { return };
        let Asked { id, waiter, timeout } = asked;
        // A time beyond the clock's range is no deadline.
        let deadline = timeout.and_then(|timeout| now.checked_add(timeout));
        if let Some(earlier) = namespace.acks.insert(id, Waiting { waiter, deadline, is_retry }) {
            forget_deadline(&mut self.deadlines, earlier.deadline, nsp, id);
        }
        if let Some(deadline) = deadline {
            self.deadlines.insert((deadline, nsp, id));
        }
    }

    /// An answer has come.
    pub(super) fn answer(&mut self, nsp: Nsp, id: u64, args: &Args<'_>, now: Instant) {
        let Some(namespace) = self.namespaces.get_mut(nsp.0) else { return };
        // The reference calls it a bad ack: to nothing, or to a try that was given up.
        let Some(waiting) = namespace.acks.remove(&id) else { return };
        forget_deadline(&mut self.deadlines, waiting.deadline, nsp, id);
        let waiter = if waiting.is_retry { namespace.queue.pop_tried(id) } else { waiting.waiter };
        if let Some(waiter) = waiter {
            self.outputs.push_back(Output::Answer { waiter, result: Ok(args.to_owned()) });
        }
        self.try_queue(nsp, now);
    }

    /// An answer will not come.
    pub(super) fn end_ack(&mut self, nsp: Nsp, id: u64, why: NoAnswer, now: Instant) {
        self.give_up(nsp, id, why);
        self.try_queue(nsp, now);
    }

    fn give_up(&mut self, nsp: Nsp, id: u64, why: NoAnswer) {
        let Some(namespace) = self.namespaces.get_mut(nsp.0) else { return };
        let Some(waiting) = namespace.acks.remove(&id) else { return };
        forget_deadline(&mut self.deadlines, waiting.deadline, nsp, id);
        let waiter = if waiting.is_retry {
            let retries = namespace.sending.retries.unwrap_or_default();
            match namespace.queue.waiting.front_mut() {
                Some(first) if first.pending == Some(id) && first.tries <= retries => {
                    first.pending = None;
                    None
                }
                _ => namespace.queue.pop_tried(id),
            }
        } else {
            namespace.unsent.remove(id);
            waiting.waiter
        };
        if let Some(waiter) = waiter {
            self.outputs.push_back(Output::Answer { waiter, result: Err(why) });
        }
    }

    /// `_clearAcks` of the reference: a lost connection answers nothing, except what was not sent yet.
    pub(super) fn clear_acks(&mut self, nsp: Nsp) {
        let Some(namespace) = self.namespaces.get(nsp.0) else { return };
        let kept = namespace.unsent.ids();
        let mut lost: Vec<u64> = namespace.acks.keys().copied().filter(|id| !kept.contains(id)).collect();
        lost.sort_unstable();
        for id in lost {
            self.give_up(nsp, id, NoAnswer::Disconnected);
        }
    }

    /// While nobody tries to connect, ends the waits that nothing else would end, for events that wait for their first try or
    /// have no timeout: after the socket's ack timeout, so that somebody can connect again. The events stay.
    pub(super) fn end_hopeless(&mut self, nsp: Nsp, now: Instant) {
        let is_hopeless = !self.is_active(nsp) && !self.is_untouched(nsp);
        let Some(namespace) = self.namespaces.get_mut(nsp.0) else { return };
        if !is_hopeless || !namespace.has_endless_waits() {
            namespace.hopeless = None;
            return;
        }
        let timeout = namespace.sending.ack_timeout;
        if *namespace.hopeless.get_or_insert_with(|| later(now, timeout)) > now {
            return;
        }
        namespace.hopeless = None;
        for waiter in namespace.take_endless_waits() {
            self.outputs.push_back(Output::Answer { waiter, result: Err(NoAnswer::Disconnected) });
        }
    }

    /// The client ends: so do all waits.
    pub(super) fn forget_waiting(&mut self, nsp: Nsp) {
        let Some(namespace) = self.namespaces.get_mut(nsp.0) else { return };
        self.is_cut |= !namespace.unsent.is_empty() || !namespace.queue.waiting.is_empty();
        namespace.hopeless = None;
        let mut waiters: Vec<W> =
            std::iter::from_fn(|| namespace.queue.pop()).filter_map(|queued| queued.asked.waiter).collect();
        waiters.extend(namespace.acks.drain().filter_map(|(_, waiting)| waiting.waiter));
        while namespace.unsent.next().is_some() {}
        self.deadlines.retain(|(_, owner, _)| *owner != nsp);
        for waiter in waiters {
            self.outputs.push_back(Output::Answer { waiter, result: Err(NoAnswer::Disconnected) });
        }
    }
}

/// The table of deadlines holds an entry only while its wait lasts.
fn forget_deadline(
    deadlines: &mut BTreeSet<(Instant, Nsp, u64)>,
    deadline: Option<Instant>,
    nsp: Nsp,
    id: u64,
) {
    if let Some(deadline) = deadline {
        deadlines.remove(&(deadline, nsp, id));
    }
}
