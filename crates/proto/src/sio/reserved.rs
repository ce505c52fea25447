//! The event names an application may not use.

/// Whether `name` is reserved: emitting it is an error, receiving it a violation (`RESERVED_EVENTS` of the
/// reference server, plus the two of Node.js's `EventEmitter`).
pub fn is_reserved(name: &str) -> bool {
    matches!(
        name,
        "connect" | "connect_error" | "disconnect" | "disconnecting" | "newListener" | "removeListener"
    )
}
