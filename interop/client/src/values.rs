//! Values that the scenarios send and compare.

use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use trunkline_client::Value;

/// Arguments of an event: anything that [`Value`] can be made from.
macro_rules! args {
    ($($value:expr),* $(,)?) => { vec![$(::trunkline_client::Value::from($value)),*] };
}

/// A [`Value`] that is an object, its members being anything that one can be made from.
macro_rules! object {
    ($($key:expr => $value:expr),* $(,)?) => {
        [$((String::from($key), ::trunkline_client::Value::from($value))),*]
            .into_iter()
            .collect::<::trunkline_client::Value>()
    };
}

pub(crate) use {args, object};

/// Text that trips up those who count characters in another unit, escape too little, or too much.
pub(crate) const UNICODE: &str =
    "😀 𝄞 👩\u{200d}👩\u{200d}👧\u{200d}👦 漢字 é \u{2028}\u{2029} \"\\/ \u{1}\u{7f} \u{feff} end";

/// `length` bytes that differ from place to place and are the same in every run.
pub(crate) fn bytes(length: usize, seed: u32) -> Value {
    let mut state = seed;
    let mut next = || {
        state = state.wrapping_mul(1_103_515_245).wrapping_add(12_345);
        state.to_be_bytes()[1]
    };
    Value::Binary((0..length).map(|_| next()).collect::<Bytes>())
}

/// A name nobody else uses in this run: servers are shared by many cases.
pub(crate) fn unique(prefix: &str) -> String {
    static COUNTER: AtomicU64 = AtomicU64::new(0);
    format!("{prefix}-rust-{}-{}", std::process::id(), COUNTER.fetch_add(1, Ordering::Relaxed))
}

/// The arguments as text; those that are none are shown as what they are.
pub(crate) fn texts(values: &[Value]) -> Vec<String> {
    values.iter().map(|value| value.as_str().map_or_else(|| format!("{value:?}"), str::to_owned)).collect()
}
