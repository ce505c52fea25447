//! What a process costs, from `/proc`.

use std::fs;

/// What the kernel has counted for a process so far.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Cost {
    /// CPU time, user and system, in seconds.
    pub(crate) cpu: f64,
    /// Resident memory, in bytes.
    pub(crate) memory: u64,
}

/// `None` if there is no such process, or no `/proc`.
pub(crate) fn cost(pid: u32) -> Option<Cost> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    Some(Cost { cpu: cpu(&stat)?, memory: memory(&status)? })
}

/// Fields 14 and 15 (proc_pid_stat(5)), behind the name, which may hold anything.
fn cpu(stat: &str) -> Option<f64> {
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_ascii_whitespace().skip(11);
    let mut ticks = || fields.next()?.parse::<f64>().ok();
    Some((ticks()? + ticks()?) / TICKS)
}

fn memory(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    Some(line.trim().strip_suffix(" kB")?.parse::<u64>().ok()? * 1024)
}

/// Clock ticks in a second: 100 on every Linux of today (`USER_HZ`).
const TICKS: f64 = 100.0;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_words() {
        let stat = "7 (a) b) S 1 7 7 0 -1 4194560 1 0 0 0 250 50 0 0 20 0 1 0 100 1 1";
        assert_eq!(cpu(stat), Some(3.0));
        assert_eq!(memory("Name:\ta\nVmRSS:\t    12 kB\nX: 1\n"), Some(12_288));
        assert_eq!((cpu("nothing"), memory("nothing")), (None, None));
    }
}
