//! The logs of a server: what is too old goes also where nothing happens any more.

use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::time::{Duration, SystemTime};

use parking_lot::Mutex;

use super::NamespaceLog;
use crate::log::sweep;

/// The logs of the namespaces.
#[derive(Default)]
pub(crate) struct Logs {
    logs: Mutex<Vec<Weak<NamespaceLog>>>,
    is_any: AtomicBool,
    /// Folders whose outdated logs were removed.
    swept: Mutex<HashSet<PathBuf>>,
    /// The task that tidies runs.
    is_tidied: Arc<AtomicBool>,
}

/// How often logs are looked at.
const TIDY: Duration = Duration::from_secs(10);

impl Logs {
    pub(crate) fn add(self: &Arc<Self>, log: &Arc<NamespaceLog>) {
        {
            let mut logs = self.logs.lock();
            logs.retain(|log| log.strong_count() > 0);
            logs.push(Arc::downgrade(log));
        }
        self.is_any.store(true, Ordering::Release);
        self.keep_tidy();
    }

    pub(crate) fn all(&self) -> Vec<Arc<NamespaceLog>> {
        self.logs.lock().iter().filter_map(Weak::upgrade).collect()
    }

    /// Gives up half of what each log keeps; false if none kept anything.
    pub(crate) fn halve(&self) -> bool {
        self.all().iter().filter(|log| log.halve()).count() > 0
    }

    /// Starts a task on the current runtime, if there is one, that takes out what is too old; unless it runs.
    pub(crate) fn keep_tidy(self: &Arc<Self>) {
        if !self.is_any.load(Ordering::Acquire) || self.is_tidied.load(Ordering::Acquire) {
            return;
        }
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        if self.is_tidied.swap(true, Ordering::AcqRel) {
            return;
        }
        let (logs, ended) = (Arc::downgrade(self), Ended(Arc::clone(&self.is_tidied)));
        runtime.spawn(async move {
            let _ended = ended;
            loop {
                tokio::time::sleep(TIDY).await;
                let Some(logs) = logs.upgrade() else { return };
                logs.all().iter().for_each(|log| log.tidy());
                logs.sweep();
            }
        });
    }

    /// Has logs removed that nobody can use any more, once for each folder: what somebody may ask for after a start is open by now, and
    /// not in the way of this. On a thread of its own, since no client is to wait for it.
    fn sweep(&self) {
        let mut swept = self.swept.lock();
        for root in self.all().iter().filter_map(|log| log.settings.folder.clone()) {
            if swept.insert(root.clone()) {
                drop(tokio::task::spawn_blocking(move || sweep(&root, SystemTime::now())));
            }
        }
    }
}

/// Notes that the task has ended with its runtime.
struct Ended(Arc<AtomicBool>);

impl Drop for Ended {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Release);
    }
}
