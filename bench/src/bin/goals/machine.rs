//! What Linux says of processes: where they may run, what CPU time and memory they have used.

use std::fs;
use std::path::{Path, PathBuf};

use rustix::process::Resource;
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

use crate::Failure;

/// The two processors that a measurement needs.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cpus {
    pub(crate) server: usize,
    pub(crate) load: usize,
}

impl Cpus {
    /// The first and the last that this process may use.
    pub(crate) fn choose() -> Result<Self, Failure> {
        let set = sched_getaffinity(None)?;
        let mut free = (0..CpuSet::MAX_CPU).filter(|cpu| set.is_set(*cpu));
        match (free.next(), free.next_back()) {
            (Some(server), Some(load)) => Ok(Self { server, load }),
            _ => Err("two processors are needed, one for the server, one for the load".into()),
        }
    }

    /// Has this thread, and what it starts from now on, run on `cpus` only.
    pub(crate) fn pin(cpus: &[usize]) -> Result<(), Failure> {
        let mut set = CpuSet::new();
        cpus.iter().for_each(|cpu| set.set(*cpu));
        Ok(sched_setaffinity(None, &set)?)
    }
}

/// As many open files as the system lets this process and those that it starts have.
pub(crate) fn raise_files() -> Result<u64, Failure> {
    let mut limit = rustix::process::getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    rustix::process::setrlimit(Resource::Nofile, limit)?;
    Ok(limit.current.unwrap_or(u64::MAX))
}

/// The CPU time of a process.
pub(crate) struct Clock {
    process: u32,
    /// The threads of the kernel that do the rest of a server's sending for it.
    kernel: Vec<u32>,
}

impl Clock {
    /// With the kernel's threads on `cpus`.
    pub(crate) fn new(process: u32, cpus: &[usize]) -> Self {
        let is_softirq = |id: &u32| {
            let name = fs::read_to_string(format!("/proc/{id}/comm")).unwrap_or_default();
            let cpu = name.trim().strip_prefix("ksoftirqd/").and_then(|cpu| cpu.parse().ok());
            cpu.is_some_and(|cpu| cpus.contains(&cpu))
        };
        let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
        let ids = processes.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
        Self { process, kernel: ids.filter(is_softirq).collect() }
    }

    /// So far, in nanoseconds. Exact while the process sleeps; up to one tick late while it runs.
    pub(crate) fn nanos(&self) -> u64 {
        let threads = fs::read_dir(format!("/proc/{}/task", self.process)).into_iter().flatten().flatten();
        let own: u64 = threads.map(|thread| run_time(&thread.path())).sum();
        let kernel: u64 = self.kernel.iter().map(|id| run_time(&PathBuf::from(format!("/proc/{id}")))).sum();
        own + kernel
    }
}

/// The first number of `schedstat`: time on a processor, in nanoseconds.
fn run_time(folder: &Path) -> u64 {
    let text = fs::read_to_string(folder.join("schedstat")).unwrap_or_default();
    text.split(' ').next().and_then(|number| number.parse().ok()).unwrap_or(0)
}

/// Bytes of memory that a process has in use. Counted by walking its pages: the figure of `status` is up to a MiB behind.
pub(crate) fn resident(process: u32) -> Result<u64, Failure> {
    let text = fs::read_to_string(format!("/proc/{process}/smaps_rollup"))?;
    let line = text.lines().find_map(|line| line.strip_prefix("Rss:")).ok_or("smaps_rollup without Rss")?;
    let kib: u64 = line.trim().trim_end_matches(" kB").parse()?;
    Ok(kib * 1024)
}
