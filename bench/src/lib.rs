//! What the programs of this folder share: TLS between a server and clients of one machine, and what one record of it costs.

pub mod record;
pub mod tls;
