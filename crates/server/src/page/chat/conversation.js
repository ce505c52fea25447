// A room, or what two people say to each other: its messages in order, each once, and who is there. No page, no network.

/** Messages that are kept for reading. */
const KEPT = 300;

/**
 * @typedef {object} Message
 * @property {string} key made by the sender; with the sender's nickname it tells two messages apart
 * @property {string} from nickname
 * @property {string} text
 * @property {number} at milliseconds since 1970
 * @property {"waiting" | "sent" | "failed"} state
 * @property {boolean} mine
 * @property {number} [run] the server's run that numbered it
 * @property {number} [id] its number there
 * @property {string} [error] why it has failed
 */

export class Conversation {
  /** @type {Message[]} */
  messages = [];
  /** Messages since it was last looked at. */
  unread = 0;
  /** In a room: id to nickname. */
  members = new Map();
  /** Nickname to the moment when "is typing" is over. */
  typing = new Map();
  /** Whether the server has us in this room. */
  joined = false;

  /** @param {"room" | "private"} kind @param {string} name a room's, or the other one's nickname */
  constructor(kind, name) {
    this.kind = kind;
    this.name = name;
    this.id = `${kind}:${name}`;
  }

  /** Adds a message, unless it is there already. @param {Message} message @returns {boolean} whether it is new */
  add(message) {
    const known = this.messages.find(({ key, from }) => key === message.key && from === message.from);
    if (known) {
      if (known.state !== "sent" && message.state === "sent") this.settle(known, message);
      return false;
    }
    this.#place(message);
    if (this.messages.length > KEPT) {
      const oldest = this.messages.findIndex(({ state }) => state === "sent");
      if (oldest >= 0) this.messages.splice(oldest, 1);
    }
    return true;
  }

  /** The server has a message of ours: it takes its place among the others. */
  settle(message, { id, at, run }) {
    Object.assign(message, { state: "sent", at, error: undefined }, id === undefined ? {} : { id, run });
    this.messages.splice(this.messages.indexOf(message), 1);
    this.#place(message);
  }

  fail(message, error) {
    Object.assign(message, { state: "failed", error });
  }

  /** Puts a message that has failed behind the others, to be sent. */
  retry(message) {
    Object.assign(message, { state: "waiting", error: undefined });
    this.messages.splice(this.messages.indexOf(message), 1);
    this.messages.push(message);
  }

  get waiting() {
    return this.messages.filter(({ state }) => state === "waiting");
  }

  /** The nicknames of those in the room, sorted, each once: after a broken line somebody may be there twice for a moment. */
  get people() {
    const names = new Set(this.members.values());
    return [...names].sort((a, b) => a.localeCompare(b));
  }

  /** Who types at this moment. */
  typists(now) {
    for (const [name, until] of this.typing) if (until <= now) this.typing.delete(name);
    return [...this.typing.keys()];
  }

  #place(message) {
    // What is not sent yet comes last; what came earlier in the same run of the server has the smaller number.
    const isBefore = (other) => {
      if (message.state !== "sent") return true;
      if (other.state !== "sent") return false;
      return other.run !== message.run || other.id === undefined || other.id < message.id;
    };
    let at = this.messages.length;
    while (at > 0 && !isBefore(this.messages[at - 1])) at -= 1;
    this.messages.splice(at, 0, message);
  }
}
