//! The thread that writes the logs of a server: no runtime's thread waits for a disk.

use std::collections::VecDeque;
use std::sync::{Arc, Weak};
use std::time::Duration;

use parking_lot::{Condvar, Mutex, MutexGuard};

use super::store::Store;

/// The thread's queue. The thread ends with the last of its logs.
#[derive(Default)]
pub(crate) struct Writer {
    state: Mutex<State>,
    wake: Condvar,
}

#[derive(Default)]
struct State {
    queue: VecDeque<Job>,
    is_running: bool,
}

enum Job {
    Write(Weak<Store>),
}

impl Job {
    fn run(self) {
        match self {
            Self::Write(store) => {
                if let Some(store) = store.upgrade() {
                    store.flush(false);
                }
            }
        }
    }
}

/// How long the thread stays without work, so that not every event starts one.
const IDLE: Duration = Duration::from_secs(2);

impl Writer {
    /// Has a log written soon.
    pub(super) fn queue(self: &Arc<Self>, store: &Arc<Store>) {
        self.add(self.state.lock(), Job::Write(Arc::downgrade(store)));
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
            jobs.into_iter().for_each(Job::run);
        }
    }

    fn run(&self) {
        let mut state = self.state.lock();
        loop {
            if let Some(job) = state.queue.pop_front() {
                drop(state);
                job.run();
                state = self.state.lock();
            } else if self.wake.wait_for(&mut state, IDLE).timed_out() && state.queue.is_empty() {
                state.is_running = false;
                return;
            }
        }
    }
}
