//! A clock for what is only looked at roughly: it costs a fraction of a precise one.

use std::time::Duration;

/// The time since some moment, in steps of the system's tick: on Linux 1 to 10 ms. Elsewhere it is precise.
#[cfg(target_os = "linux")]
pub(crate) fn coarse() -> Duration {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::MonotonicCoarse);
    Duration::new(now.tv_sec.unsigned_abs(), u32::try_from(now.tv_nsec).unwrap_or_default())
}

#[cfg(not(target_os = "linux"))]
pub(crate) fn coarse() -> Duration {
    static START: std::sync::LazyLock<std::time::Instant> = std::sync::LazyLock::new(std::time::Instant::now);
    START.elapsed()
}
