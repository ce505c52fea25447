// What survives a reload of this window: who one is, the rooms, what was said in private, and what waits to be sent.

const NAME = "trunkline-chat";
/** Private messages of a conversation that are kept. */
const KEPT = 50;

/** A word that nobody else makes; also where `crypto.randomUUID` is missing, which needs a secure context. */
export function newKey() {
  const bytes = crypto.getRandomValues(new Uint8Array(12));
  return [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** What was saved, or `null`. A window is a person: hence this window's storage. */
export function load() {
  try {
    const saved = JSON.parse(sessionStorage.getItem(NAME) ?? "null");
    const fits = typeof saved?.nickname === "string" && typeof saved.key === "string" && Array.isArray(saved.places);
    return fits ? saved : null;
  } catch {
    return null;
  }
}

/** Saves a person and the conversations. Where there is no storage, a reload begins anew. */
export function save({ nickname, key }, conversations, current) {
  const places = conversations.map(({ kind, name, messages }) => ({
    kind,
    name,
    // The server remembers what was sent to a room, nobody what was said in private.
    messages: messages.filter(({ state }) => kind === "private" || state !== "sent").slice(-KEPT),
  }));
  try {
    sessionStorage.setItem(NAME, JSON.stringify({ nickname, key, places, current: current?.id }));
  } catch {
    // Full or forbidden.
  }
}

export function forget() {
  try {
    sessionStorage.removeItem(NAME);
  } catch {
    // Forbidden: nothing was saved either.
  }
}
