//! What a session costs its owner: programs hold thousands of them.

use super::support::{WEBSOCKET, config};
use crate::engine::{CookieJar, Engine};

#[test]
fn an_engine_and_its_futures_are_small() {
    let config = config(([127, 0, 0, 1], 1).into(), WEBSOCKET);
    let mut jar = CookieJar::default();
    let connecting = size_of_val(&Engine::connect(&config, &mut jar));
    assert!(size_of::<Engine>() <= 512, "{}", size_of::<Engine>());
    assert!(connecting <= 128, "{connecting}");
}
