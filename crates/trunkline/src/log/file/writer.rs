//! The thread that writes the logs of a server: no runtime's thread waits for a disk.

use std::collections::{HashSet, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;

use parking_lot::{Condvar, Mutex, MutexGuard};

use super::store::Store;

/// The thread's queue. The thread ends with the last of its logs.
#[derive(Default)]
pub(crate) struct Writer {
    state: Mutex<State>,
    wake: Condvar,
    /// Told when a folder was removed.
    removed: Condvar,
    /// Logs that are open, and how many may be before those that clients name are refused.
    open: AtomicUsize,
    most: OnceLock<usize>,
}

#[derive(Default)]
struct State {
    queue: VecDeque<Job>,
    /// Folders that are being removed, or will be.
    removing: HashSet<PathBuf>,
    is_running: bool,
}

enum Job {
    Write(Weak<Store>),
    Remove(Arc<Store>),
}

/// A log has two files open; so they take no more than a quarter of what the process may have.
const FILES_PER_LOG: u64 = 8;
/// How many logs are open at most where the system names no limit.
const MOST_LOGS: usize = 10_000;

/// How long the thread stays without work, so that not every event starts one.
const IDLE: Duration = Duration::from_secs(2);

impl Writer {
    /// Whether another log may be opened whose name a client has chosen.
    pub(crate) fn has_room(&self) -> bool {
        self.open.load(Ordering::Acquire) < *self.most.get_or_init(most_logs)
    }

    /// For tests: the number of logs instead of the system's.
    #[cfg(test)]
    pub(crate) fn limit(&self, logs: usize) {
        self.most.set(logs).unwrap();
    }

    pub(super) fn opened(&self) {
        self.open.fetch_add(1, Ordering::AcqRel);
    }

    pub(super) fn dropped(&self) {
        self.open.fetch_sub(1, Ordering::AcqRel);
    }

    /// Has a log written soon.
    pub(super) fn queue(self: &Arc<Self>, store: &Arc<Store>) {
        self.add(self.state.lock(), Job::Write(Arc::downgrade(store)));
    }

    /// Has the files of a log removed soon.
    pub(super) fn remove(self: &Arc<Self>, store: &Arc<Store>) {
        let mut state = self.state.lock();
        state.removing.insert(store.folder().to_owned());
        self.add(state, Job::Remove(Arc::clone(store)));
    }

    /// Waits until a folder that is to be removed is. Blocks for as long as the disk does.
    pub(super) fn wait_until_removed(&self, folder: &Path) {
        let mut state = self.state.lock();
        while state.removing.contains(folder) {
            self.removed.wait(&mut state);
        }
    }

    fn carry_out(&self, job: Job) {
        match job {
            Job::Write(store) => {
                if let Some(store) = store.upgrade() {
                    store.flush(false);
                }
            }
            Job::Remove(store) => {
                store.remove();
                self.state.lock().removing.remove(store.folder());
                self.removed.notify_all();
            }
        }
    }

    fn add(self: &Arc<Self>, mut state: MutexGuard<'_, State>, job: Job) {
        state.queue.push_back(job);
        if std::mem::replace(&mut state.is_running, true) {
            drop(state);
            self.wake.notify_one();
            return;
        }
        drop(state);
        let writer = Arc::clone(self);
        let thread = std::thread::Builder::new().name("trunkline-log".into()).spawn(move || writer.run());
        if let Err(error) = thread {
            tracing::error!(%error, "no thread for the log: who emits waits for the writing");
            let mut state = self.state.lock();
            state.is_running = false;
            let jobs = std::mem::take(&mut state.queue);
            drop(state);
            jobs.into_iter().for_each(|job| self.carry_out(job));
        }
    }

    fn run(&self) {
        let mut state = self.state.lock();
        loop {
            if let Some(job) = state.queue.pop_front() {
                drop(state);
                self.carry_out(job);
                state = self.state.lock();
            } else if self.wake.wait_for(&mut state, IDLE).timed_out() && state.queue.is_empty() {
                state.is_running = false;
                return;
            }
        }
    }
}

/// By the limit of open files at the first asking: a program raises its own before it serves.
fn most_logs() -> usize {
    #[cfg(unix)]
    let files = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
    #[cfg(not(unix))]
    let files: Option<u64> = None;
    let logs = files.and_then(|files| usize::try_from(files / FILES_PER_LOG).ok());
    logs.map_or(MOST_LOGS, |logs| logs.min(MOST_LOGS))
}
