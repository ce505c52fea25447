//! How long things took, in a few numbers; for the reports of `verify` and `bench`.

use hdrhistogram::Histogram;
use serde::Serialize;

/// In ms.
#[derive(Debug, Serialize)]
pub(crate) struct Percentiles {
    pub(crate) count: u64,
    pub(crate) p50: f64,
    pub(crate) p90: f64,
    pub(crate) p99: f64,
    pub(crate) p999: f64,
    pub(crate) max: f64,
}

impl Percentiles {
    /// Of times in units of which so many are a ms.
    pub(crate) fn of(times: &Histogram<u64>, units_per_ms: f64) -> Self {
        let ms = |time: u64| time as f64 / units_per_ms;
        let at = |share| ms(times.value_at_quantile(share));
        Self {
            count: times.len(),
            p50: at(0.5),
            p90: at(0.9),
            p99: at(0.99),
            p999: at(0.999),
            max: ms(times.max()),
        }
    }
}
