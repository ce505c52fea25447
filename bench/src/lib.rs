//! What the programs of this folder share: TLS between a server and clients of one machine, and what one record of it costs; clients
//! without a network; a message.

pub mod orders;
pub mod pipe;
pub mod record;
pub mod tls;
