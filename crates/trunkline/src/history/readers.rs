//! Those who wait for a room's events. An emit tells them; without any it costs one look at a counter.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use parking_lot::Mutex;
use tokio::sync::Notify;

use super::Place;
use crate::metrics::Metrics;
use crate::serve::Abort;

/// The readers of a namespace, by room.
#[derive(Default)]
pub(crate) struct Readers {
    count: AtomicUsize,
    by_room: Mutex<HashMap<Arc<str>, Vec<Arc<Reader>>>>,
}

/// One who waits.
struct Reader {
    news: Notify,
    /// Bytes sent to the room since it last read.
    lag: AtomicUsize,
    has_lagged: AtomicBool,
    /// Its place; given back when it lags too far, though its connection may hang on.
    place: Mutex<Option<Place>>,
    bound: Option<Bound>,
}

/// How far a stream may lag.
pub(super) struct Bound {
    /// Bytes.
    pub(super) lag: usize,
    /// Ends its connection, where the server lets us: one that takes nothing is never asked for more.
    pub(super) abort: Abort,
    pub(super) metrics: Arc<Metrics>,
}

impl Readers {
    /// An event of so many bytes was sent to these rooms. Not under a lock.
    #[inline]
    pub(crate) fn tell(&self, rooms: &[Arc<str>], bytes: usize) {
        if self.count.load(Ordering::Acquire) > 0 {
            self.tell_all(rooms, bytes);
        }
    }

    fn tell_all(&self, rooms: &[Arc<str>], bytes: usize) {
        let mut late = Vec::new();
        {
            let by_room = self.by_room.lock();
            for reader in rooms.iter().filter_map(|room| by_room.get(room)).flatten() {
                let lag = reader.lag.fetch_add(bytes, Ordering::AcqRel) + bytes;
                if reader.bound.as_ref().is_some_and(|bound| lag > bound.lag) {
                    late.push(Arc::clone(reader));
                }
                reader.news.notify_one();
            }
        }
        for reader in late {
            reader.give_up();
        }
    }

    /// Waits for events of `room` from now on: what is read afterwards and what is told have no hole between them.
    pub(super) fn watch(self: &Arc<Self>, room: &Arc<str>, place: Place, bound: Option<Bound>) -> Watch {
        let reader = Arc::new(Reader {
            news: Notify::new(),
            lag: AtomicUsize::new(0),
            has_lagged: AtomicBool::new(false),
            place: Mutex::new(Some(place)),
            bound,
        });
        self.by_room.lock().entry(Arc::clone(room)).or_default().push(Arc::clone(&reader));
        self.count.fetch_add(1, Ordering::AcqRel);
        Watch { readers: Arc::clone(self), room: Arc::clone(room), reader }
    }
}

impl Reader {
    fn give_up(&self) {
        if self.has_lagged.swap(true, Ordering::AcqRel) {
            return;
        }
        let place = self.place.lock().take();
        drop(place);
        if let Some(bound) = &self.bound {
            bound.metrics.history.lagged.add(1);
            bound.abort.abort();
        }
    }
}

/// A reader's place among [`Readers`], given back when dropped.
pub(super) struct Watch {
    readers: Arc<Readers>,
    room: Arc<str>,
    reader: Arc<Reader>,
}

impl Watch {
    /// Ready when there may be news, since the last time that it was.
    pub(super) async fn news(&self) {
        self.reader.news.notified().await;
    }

    /// It is about to read all there is. False if it came too late for that.
    pub(super) fn catch_up(&self) -> bool {
        self.reader.lag.store(0, Ordering::Release);
        !self.reader.has_lagged.load(Ordering::Acquire)
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.readers.count.fetch_sub(1, Ordering::AcqRel);
        let mut by_room = self.readers.by_room.lock();
        if let Some(readers) = by_room.get_mut(&self.room) {
            readers.retain(|reader| !Arc::ptr_eq(reader, &self.reader));
            if readers.is_empty() {
                by_room.remove(&self.room);
            }
        }
    }
}
