//! Why a case failed, in words for the report.

use std::error::Error;
use std::fmt;
use std::future::Future;
use std::time::Duration;

/// Longest wait for one step of a case.
pub(crate) const STEP: Duration = Duration::from_secs(12);

/// How a case, or a part of it, went.
pub(crate) type Outcome<T = ()> = Result<T, Failure>;

/// A reason; made from any error by `?`.
#[derive(Debug)]
pub(crate) struct Failure(String);

impl Failure {
    pub(crate) fn new(reason: impl Into<String>) -> Self {
        Self(reason.into())
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<E: Error> From<E> for Failure {
    #[track_caller]
    fn from(error: E) -> Self {
        let place = std::panic::Location::caller();
        Self(format!("{error} ({}:{})", place.file(), place.line()))
    }
}

/// Fails with both values unless they are equal.
#[track_caller]
#[allow(clippy::needless_pass_by_value, reason = "values and references alike")]
pub(crate) fn equal<T: fmt::Debug + PartialEq<U>, U: fmt::Debug>(actual: T, expected: U) -> Outcome {
    ensure(actual == expected, || format!("got {}, expected {}", short(&actual), short(&expected)))
}

/// Fails with `reason` unless `holds`.
#[track_caller]
pub(crate) fn ensure(holds: bool, reason: impl FnOnce() -> String) -> Outcome {
    if holds {
        return Ok(());
    }
    let place = std::panic::Location::caller();
    Err(Failure(format!("{} ({}:{})", reason(), place.file(), place.line())))
}

/// What `step` gives, or a failure that says what was awaited once [`STEP`] is over.
pub(crate) async fn within<T>(what: &str, step: impl Future<Output = T>) -> Outcome<T> {
    let result = tokio::time::timeout(STEP, step).await;
    result.map_err(|_| Failure(format!("{what}: nothing within {STEP:?}")))
}

fn short(value: &impl fmt::Debug) -> String {
    let text = format!("{value:?}");
    match text.char_indices().nth(500) {
        Some((end, _)) => format!("{}… ({} bytes)", &text[..end], text.len()),
        None => text,
    }
}
