//! The engine against real servers, proxies and hostile servers.

mod echo;
mod support;
