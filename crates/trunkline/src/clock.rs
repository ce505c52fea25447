//! The clocks: the one that deadlines go by, and one for what is only looked at roughly.

use std::time::{Duration, Instant};

/// The time as the runtime's timers see it: where a test has stopped that, deadlines stand still, too.
#[inline]
pub(crate) fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

/// The time since some moment, in steps of the system's tick: on Linux 1 to 10 ms. Elsewhere it is precise. It costs a fraction of a
/// precise clock.
#[cfg(target_os = "linux")]
pub(crate) fn coarse() -> Duration {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::MonotonicCoarse);
    Duration::new(now.tv_sec.unsigned_abs(), u32::try_from(now.tv_nsec).unwrap_or_default())
}

#[cfg(not(target_os = "linux"))]
pub(crate) fn coarse() -> Duration {
    static START: std::sync::LazyLock<Instant> = std::sync::LazyLock::new(Instant::now);
    START.elapsed()
}
