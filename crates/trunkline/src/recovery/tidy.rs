//! The logs of a server: what is too old goes also where nothing happens any more.

use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock, Weak};
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
    /// What else is to be done as often.
    also: OnceLock<Box<dyn Fn() + Send + Sync>>,
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

    /// Has `also` called as often as logs are looked at; once for a server.
    pub(crate) fn also(&self, also: impl Fn() + Send + Sync + 'static) {
        drop(self.also.set(Box::new(also)));
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
                if let Some(also) = logs.also.get() {
                    also();
                }
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

#[cfg(test)]
mod tests {
    use crate::testing::Client;
    use crate::{Io, Recovery};

    #[tokio::test]
    async fn names_that_clients_choose_take_no_more_files_than_there_are() {
        let folder = std::env::temp_dir().join(format!("trunkline-files-{}", std::process::id()));
        let io = Io::builder().shards(1).recovery(Recovery::file(&folder)).build();
        io.of_pattern("/room-{n}");
        let writer = &io.of("/").into_core().io.log_writer.clone();
        writer.limit(2);
        io.of("/").open_recovery().unwrap();
        let mut clients = Vec::new();
        for n in 1..=3 {
            clients.push(Client::connect(&io, &format!("/room-{n}"), None).await.unwrap());
            assert!(clients.iter().all(|client| client.private_id().is_some()));
        }
        let has_files = |name: &str| folder.join(format!("%2f{name}")).exists();
        assert_eq!(["", "room-1", "room-2", "room-3"].map(has_files), [true, true, false, false]);
        assert_eq!(io.metrics().log_failures, 2);
        // What the program names is never refused.
        io.of("/named").open_recovery().unwrap();
        assert!(has_files("named") && !writer.has_room());
        io.close().await;
        drop((io, clients));
        drop(std::fs::remove_dir_all(folder));
    }
}
