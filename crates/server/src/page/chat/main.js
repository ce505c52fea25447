// The chat: who one is, the conversations, what is sent and what comes. What is typed while the line is broken waits, and
// is sent in order once the server has us in the room again; its key tells the server, and others, what they have already.
import { Conversation } from "./conversation.js";
import { Line, loadClient } from "./line.js";
import { forget, load, newKey, save } from "./session.js";
import { View } from "./view.js";

/** Milliseconds after which a request is made again that the server has refused as too fast. */
const AGAIN_MS = 700;
/** How long somebody who is not here is waited for after coming back, in milliseconds: they are on their way, too. */
const GRACE_MS = 5_000;
/** How long somebody counts as typing, and how often it is told, in milliseconds. */
const TYPING_MS = 4_000;
const TYPING_EVERY_MS = 2_000;
const FIRST_ROOM = "lobby";

const after = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

class Chat {
  /** @type {Map<string, Conversation>} */
  conversations = new Map();
  current = null;
  /** All rooms of the server: name to number of members. */
  rooms = new Map();
  me = null;
  line = null;
  /** Where the other one of a private conversation was heard last. */
  addresses = new Map();
  /** When the server has admitted us. */
  since = 0;
  run = 0;
  toldTyping = 0;
  moved = false;

  constructor() {
    this.view = new View(this);
    document.addEventListener("visibilitychange", () => this.#look());
    const saved = load();
    if (saved) {
      this.#restore(saved);
      this.view.asking = false;
      this.#open();
    } else this.changed();
  }

  // --- coming and going ----------------------------------------------------------------------------------------------

  enter(nickname) {
    this.me = { nickname, key: this.me?.key ?? newKey() };
    // What waits was written under the name that was refused.
    for (const { messages } of this.conversations.values()) {
      for (const message of messages) if (message.mine && message.state !== "sent") message.from = nickname;
    }
    if (this.conversations.size === 0) this.current = this.#conversation("room", FIRST_ROOM);
    this.#open();
  }

  quit() {
    this.line?.end();
    forget();
    Object.assign(this, { me: null, line: null, current: null, moved: false });
    this.conversations.clear();
    this.changed();
    this.view.askNickname("");
  }

  /** After another window has taken the nickname over. */
  comeBack() {
    this.moved = false;
    this.#open();
  }

  #restore({ nickname, key, places, current }) {
    this.me = { nickname, key };
    for (const { kind, name, messages } of places) {
      const conversation = this.#conversation(kind, name);
      for (const message of messages) conversation.add(message);
    }
    this.current = this.conversations.get(current) ?? [...this.conversations.values()][0] ?? null;
  }

  async #open() {
    const { me } = this;
    this.changed();
    let client;
    try {
      client = await loadClient();
    } catch {
      this.view.askNickname("The server does not answer: try again in a moment.");
      return;
    }
    if (this.me !== me) return;
    this.line?.end();
    this.line = new Line(client, { ...me }, {
      onChange: () => this.#lineChanged(),
      onRefused: (message) => this.#refused(message),
      handlers: this.#handlers(),
    });
    this.changed();
  }

  #refused(message) {
    this.line = null;
    // What was typed stays for whoever enters next from this window.
    this.view.askNickname(message);
    this.changed();
  }

  #lineChanged() {
    if (this.line?.phase !== "open") {
      for (const conversation of this.conversations.values()) {
        conversation.joined = false;
        conversation.typing.clear();
      }
    }
    this.changed();
  }

  // --- what comes ----------------------------------------------------------------------------------------------------

  #handlers() {
    const room = (name) => this.conversations.get(`room:${name}`);
    const handlers = {
      welcome: ({ run, rooms }) => this.#welcome(run, rooms),
      refused: ({ error }) => {
        this.line.end();
        this.#refused(error);
      },
      replaced: () => {
        this.moved = true;
        this.line.end();
      },
      room: ({ name, members }) => this.rooms.set(name, members),
      joined: ({ room: name, id, nickname }) => {
        room(name)?.members.set(id, nickname);
        this.#sendPrivate();
      },
      left: ({ room: name, id }) => room(name)?.members.delete(id),
      post: (post) => this.#heard(room(post.room), { ...post, run: this.run }),
      private: (message, confirm) => {
        this.addresses.set(message.from, message.id);
        const { key, from, text, at } = message;
        this.#heard(this.#conversation("private", from), { key, from, text, at });
        confirm(true);
      },
      typing: ({ room: name, from, on }) => this.#typing(room(name), from, on),
    };
    const tell = (handler) => (...args) => {
      handler(...args);
      this.changed();
    };
    return Object.fromEntries(Object.entries(handlers).map(([name, handler]) => [name, tell(handler)]));
  }

  async #welcome(run, rooms) {
    const { line } = this;
    line.isReady = true;
    if (run !== this.run) this.addresses.clear();
    this.run = run;
    this.since = Date.now();
    this.rooms = new Map(rooms.map(({ name, members }) => [name, members]));
    for (const conversation of this.conversations.values()) {
      if (conversation.kind === "room") await this.#join(conversation, line);
    }
    this.#sendPrivate();
    // Whoever is not here after that will not come: those messages fail.
    await after(GRACE_MS);
    if (this.line === line && line.isReady) this.#sendPrivate();
  }

  #heard(conversation, message) {
    if (!conversation) return;
    conversation.typing.delete(message.from);
    const mine = message.from === this.me.nickname;
    if (!conversation.add({ ...message, mine, state: "sent" }) || mine) return;
    if (conversation !== this.current || document.hidden) conversation.unread += 1;
    this.view.speak(conversation, message);
  }

  #typing(conversation, from, on) {
    if (!conversation) return;
    if (!on) {
      conversation.typing.delete(from);
      return;
    }
    conversation.typing.set(from, Date.now() + TYPING_MS);
    setTimeout(() => this.changed(), TYPING_MS + 50);
  }

  // --- rooms and conversations -----------------------------------------------------------------------------------------

  /** Joins a room by the name that was typed; rejects with what is wrong. */
  async join(name) {
    if (!this.line?.isReady) throw new Error("There is no line at the moment.");
    const answer = await this.line.ask("join", name);
    if (!answer.ok) throw new Error(answer.error);
    const conversation = this.#conversation("room", answer.room);
    this.#joined(conversation, answer);
    this.select(conversation);
  }

  leave(conversation) {
    if (conversation.kind === "room" && conversation.joined) this.line.ask("leave", conversation.name).catch(() => {});
    this.conversations.delete(conversation.id);
    if (this.current === conversation) this.current = [...this.conversations.values()][0] ?? null;
    this.#look();
  }

  /** Opens the conversation with somebody. */
  talkTo(nickname) {
    this.select(this.#conversation("private", nickname));
  }

  select(conversation) {
    if (conversation !== this.current) this.type("");
    this.current = conversation;
    this.#look();
  }

  #look() {
    if (this.current && !document.hidden) this.current.unread = 0;
    this.changed();
  }

  #conversation(kind, name) {
    const fresh = new Conversation(kind, name);
    if (!this.conversations.has(fresh.id)) this.conversations.set(fresh.id, fresh);
    return this.conversations.get(fresh.id);
  }

  async #join(conversation, line) {
    while (line.isReady && this.conversations.get(conversation.id) === conversation) {
      try {
        const answer = await line.ask("join", conversation.name);
        if (answer.ok) {
          this.#joined(conversation, answer);
          return;
        }
        if (answer.code !== "slow") {
          this.view.speakText(answer.error);
          return;
        }
      } catch {
        // The line broke, or the server is slow: the loop's condition tells.
      }
      await after(AGAIN_MS);
    }
  }

  #joined(conversation, { members, history }) {
    conversation.joined = true;
    conversation.members = new Map(members.map(({ id, nickname }) => [id, nickname]));
    conversation.typing.clear();
    const isFirst = conversation.messages.length === 0;
    for (const post of history) {
      const mine = post.from === this.me.nickname;
      const isNew = conversation.add({ ...post, run: this.run, mine, state: "sent" });
      // What was said before one came is not news.
      if (isNew && !isFirst && !mine && (conversation !== this.current || document.hidden)) conversation.unread += 1;
    }
    this.changed();
    this.#send(conversation);
  }

  // --- what is sent ----------------------------------------------------------------------------------------------------

  say(text) {
    const message = { key: newKey(), from: this.me.nickname, text, at: Date.now(), state: "waiting", mine: true };
    this.current.add(message);
    this.toldTyping = 0;
    this.changed();
    this.#send(this.current);
  }

  retry(conversation, message) {
    conversation.retry(message);
    this.changed();
    this.#send(conversation);
  }

  /** Tells the room that something is being typed, or no more. */
  type(text) {
    const { current, line } = this;
    const on = text.trim() !== "";
    if (current?.kind !== "room" || !current.joined) return;
    if (on ? Date.now() - this.toldTyping < TYPING_EVERY_MS : this.toldTyping === 0) return;
    this.toldTyping = on ? Date.now() : 0;
    line.tell("typing", current.name, on);
  }

  #sendPrivate() {
    for (const conversation of this.conversations.values()) if (conversation.kind === "private") this.#send(conversation);
  }

  /** Sends what waits in a conversation, one after the other, as long as the line is there. */
  async #send(conversation) {
    if (conversation.isSending) return;
    conversation.isSending = true;
    try {
      for (let message; (message = conversation.waiting[0]) && this.#canSend(conversation);) {
        if (!(await this.#sendOne(conversation, message))) break;
        this.changed();
      }
    } finally {
      conversation.isSending = false;
      this.changed();
    }
  }

  #canSend(conversation) {
    if (!this.line?.isReady || this.conversations.get(conversation.id) !== conversation) return false;
    if (conversation.kind === "room") return conversation.joined;
    return this.#addressOf(conversation.name) !== undefined || Date.now() - this.since >= GRACE_MS;
  }

  /** Whether the next one may be sent: this one has arrived, or failed for good. */
  async #sendOne(conversation, message) {
    const { key, text } = message;
    const { line } = this;
    let answer;
    try {
      if (conversation.kind === "room") answer = await line.ask("post", { room: conversation.name, key, text });
      else answer = await this.#sendTo(this.#addressOf(conversation.name), { key, text });
    } catch {
      // No answer: sent again with the same key, at once or when the line is back.
      if (line.isReady) await after(AGAIN_MS);
      return line.isReady;
    }
    if (answer.ok) conversation.settle(message, { ...answer, run: this.run });
    else if (answer.code === "slow") await after(AGAIN_MS);
    else if (answer.code === "outside") {
      conversation.joined = false;
      this.#join(conversation, line);
      return false;
    } else conversation.fail(message, answer.error);
    return true;
  }

  #sendTo(to, message) {
    if (to === undefined) return { ok: false, code: "gone", error: "This person is not here any more." };
    return this.line.ask("private", { to, ...message });
  }

  /** The id of somebody in one of our rooms, or of who has written to us. */
  #addressOf(nickname) {
    for (const { joined, members } of this.conversations.values()) {
      if (!joined) continue;
      for (const [id, name] of members) if (name === nickname) return id;
    }
    return this.addresses.get(nickname);
  }

  // --- showing -----------------------------------------------------------------------------------------------------------

  /** Shows and saves what has changed, once for all changes of a turn. */
  changed() {
    if (this.isChanging) return;
    this.isChanging = true;
    queueMicrotask(() => {
      this.isChanging = false;
      if (this.me) save(this.me, [...this.conversations.values()], this.current);
      this.view.show();
    });
  }
}

new Chat();
