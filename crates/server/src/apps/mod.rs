//! The apps of the gallery: what each does on the server, in a namespace of its own, with the library's public API alone.

pub(crate) mod chat;
