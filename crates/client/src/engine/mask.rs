//! Masking keys, which nobody may foretell (RFC 6455 section 5.3).

use std::cell::RefCell;
use std::io;

/// The next key, from the operating system's random source, asked once for many keys.
pub(super) fn key() -> io::Result<[u8; 4]> {
    thread_local! {
        static POOL: RefCell<Pool> = const { RefCell::new(Pool { bytes: [0; POOL_SIZE], used: POOL_SIZE }) };
    }
    POOL.with_borrow_mut(Pool::next)
}

struct Pool {
    bytes: [u8; POOL_SIZE],
    used: usize,
}

impl Pool {
    fn next(&mut self) -> io::Result<[u8; 4]> {
        if self.used >= POOL_SIZE {
            getrandom::fill(&mut self.bytes).map_err(|error| io::Error::other(error.to_string()))?;
            self.used = 0;
        }
        let key = self.bytes.get(self.used..).and_then(|rest| rest.first_chunk()).copied();
        self.used += 4;
        key.ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
    }
}

/// Bytes, a multiple of a key's four.
const POOL_SIZE: usize = 512;

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    #[test]
    fn keys_do_not_repeat() {
        let keys: HashSet<_> = (0..1_000).map(|_| super::key().expect("random bytes")).collect();
        // A thousand of 2^32 collide once in some ten thousand runs.
        assert!(keys.len() >= 998);
    }
}
