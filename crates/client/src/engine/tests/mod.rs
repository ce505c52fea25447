//! The engine against real servers, proxies and hostile servers.

mod cookies;
mod echo;
mod heartbeat;
mod hostile;
mod memory;
mod proxies;
mod raw;
mod support;
mod tls;
mod upgrade;
