// The page: shows the chat as it is, and tells it what is clicked and typed. Everything can be done with the keyboard.
import { byId, make, setText, sync } from "./dom.js";

/** Messages of one person within this time, in milliseconds, stand under one name. */
const TOGETHER_MS = 300_000;
/** How near the end one must be for new messages to scroll there, in pixels. */
const NEAR = 80;

export class View {
  /** Whether the nickname is asked for. */
  asking = true;
  shown = null;

  constructor(chat) {
    this.chat = chat;
    this.#listenToEntry();
    this.#listenToPanels();
    this.#listenToMessages();
  }

  /** Shows the form for the nickname, with what is wrong. */
  askNickname(error) {
    this.asking = true;
    setText(byId("entry-error"), error);
    this.show();
    byId("nickname").value = this.chat.me?.nickname ?? "";
    byId("nickname").focus();
    byId("nickname").select();
  }

  /** Says a new message to those who do not see the page. */
  speak({ kind, name }, { from, text }) {
    const where = kind === "private" ? "in private" : `in ${name}`;
    this.speakText(`${from} ${where}: ${text}`);
  }

  speakText(text) {
    byId("spoken").textContent = text;
  }

  show() {
    const { me, line } = this.chat;
    if (line?.isReady) this.asking = false;
    const isIn = me !== null && !(this.asking && !line);
    const wasIn = !byId("chat").hidden;
    byId("entry").hidden = isIn;
    byId("chat").hidden = !isIn;
    byId("me").hidden = !isIn;
    this.#showStatus();
    if (isIn) {
      setText(byId("nickname-shown"), me.nickname);
      this.#showPlaces();
      this.#showPeople();
      this.#showMessages();
      if (!wasIn) this.#focus();
    }
    this.#showTitle(isIn);
  }

  // --- the line --------------------------------------------------------------------------------------------------------

  #showStatus() {
    const [state, text] = this.#status();
    byId("status").className = `status ${state}`;
    setText(byId("status").querySelector("span"), text);
    const button = byId("come-back");
    if (this.chat.moved && !button) {
      const here = make("button", { id: "come-back", className: "quiet", type: "button" }, "Use this window");
      here.addEventListener("click", () => {
        this.chat.comeBack();
        this.#focus();
      });
      byId("status").append(here);
    } else if (!this.chat.moved) button?.remove();
  }

  #status() {
    const { line, me, moved } = this.chat;
    if (!me || (this.asking && !line)) return ["", "Not connected yet"];
    if (moved) return ["down", "The chat goes on in another window."];
    const waiting = this.#waiting();
    if (!line || line.phase === "connecting") return ["", "Connecting"];
    if (line.phase === "open") {
      const transport = line.transport === "websocket" ? "WebSocket" : "HTTP long-polling";
      return ["up", `Connected over ${transport}${waiting ? `, sending ${count(waiting, "message")}` : ""}`];
    }
    if (line.phase === "ended") return ["down", "Not connected"];
    const held = waiting ? `${count(waiting, "message")} ${waiting === 1 ? "waits" : "wait"} here and will be sent.` : "What you write waits here.";
    const attempt = line.attempts > 1 ? `, attempt ${line.attempts}` : "";
    return ["waiting", `The line is broken, reconnecting${attempt}. ${held}`];
  }

  #waiting() {
    return [...this.chat.conversations.values()].reduce((sum, { waiting }) => sum + waiting.length, 0);
  }

  // --- rooms and people ------------------------------------------------------------------------------------------------

  #showPlaces() {
    const { chat } = this;
    const all = [...chat.conversations.values()];
    this.#showConversations("rooms", all.filter(({ kind }) => kind === "room"));
    const talks = all.filter(({ kind }) => kind === "private");
    byId("private-section").hidden = talks.length === 0;
    this.#showConversations("private", talks);

    const others = [...chat.rooms].filter(([name, members]) => members > 0 && !chat.conversations.has(`room:${name}`));
    byId("elsewhere-section").hidden = others.length === 0;
    others.sort(([a], [b]) => a.localeCompare(b));
    const create = ([name]) => {
      const join = make("button", { className: "open", type: "button" }, make("span", {}, name), make("small"));
      join.addEventListener("click", () => this.#join(name));
      return make("li", {}, join);
    };
    const update = (item, [name, members]) => {
      setText(item.querySelector("small"), `${members} here`);
      item.firstChild.setAttribute("aria-label", `Join ${name}, ${members} here`);
    };
    sync(byId("elsewhere"), others, ([name]) => name, create, update);

    const unread = all.reduce((sum, conversation) => sum + (conversation === chat.current ? 0 : conversation.unread), 0);
    byId("unread-total").hidden = unread === 0;
    setText(byId("unread-total"), String(unread));
  }

  #showConversations(list, conversations) {
    const create = (conversation) => {
      const open = make("button", { className: "open", type: "button" }, make("span", {}, conversation.name), make("b"), make("small"));
      open.addEventListener("click", () => this.#select(conversation));
      const isRoom = conversation.kind === "room";
      const close = make("button", { className: "close", type: "button", title: isRoom ? "Leave this room" : "Close" }, "×");
      close.setAttribute("aria-label", `${isRoom ? "Leave" : "Close"} ${conversation.name}`);
      close.addEventListener("click", () => {
        this.chat.leave(conversation);
        this.#focus();
      });
      return make("li", {}, open, close);
    };
    const update = (item, conversation) => {
      const { unread, name, kind } = conversation;
      const open = item.querySelector(".open");
      const [, badge, members] = open.children;
      const here = kind === "room" && conversation.joined && unread === 0 ? `${conversation.people.length} here` : "";
      open.classList.toggle("unread", unread > 0);
      if (conversation === this.chat.current) open.setAttribute("aria-current", "true");
      else open.removeAttribute("aria-current");
      open.setAttribute("aria-label", [name, unread > 0 && `${unread} unread`, here].filter(Boolean).join(", "));
      badge.className = unread > 0 ? "badge" : "";
      setText(badge, unread > 0 ? String(unread) : "");
      setText(members, here);
    };
    sync(byId(list), conversations, ({ id }) => id, create, update);
  }

  #showPeople() {
    const { current, me } = this.chat;
    const isRoom = current?.kind === "room";
    const people = isRoom ? current.people : [];
    byId("show-people").hidden = !isRoom;
    setText(byId("show-people"), `${people.length} here`);
    setText(byId("people-title"), isRoom ? `In ${current.name}` : current ? "In private" : "");
    setText(byId("privacy"), current && !isRoom ? privacy(current.name) : "");
    const create = (name) => {
      if (name === me.nickname) return make("li", {}, make("p", {}, make("span", {}, `${name} (you)`)));
      const write = make("button", { className: "open", type: "button" }, make("span", {}, name), make("small", {}, "write"));
      write.setAttribute("aria-label", `Write to ${name} in private`);
      write.addEventListener("click", () => {
        this.chat.talkTo(name);
        this.#closePanels();
        byId("text").focus();
      });
      return make("li", {}, write);
    };
    sync(byId("here"), people, (name) => (name === me.nickname ? `me:${name}` : name), create, () => {});
  }

  async #join(name) {
    try {
      await this.chat.join(name);
      setText(byId("join-error"), "");
      byId("room").value = "";
      this.#closePanels();
      byId("text").focus();
    } catch (error) {
      setText(byId("join-error"), error.message);
    }
  }

  #select(conversation) {
    this.chat.select(conversation);
    this.#closePanels();
    byId("text").focus();
  }

  #showTitle(isIn) {
    const unread = [...this.chat.conversations.values()].reduce((sum, conversation) => sum + conversation.unread, 0);
    const place = isIn && this.chat.current ? `${this.chat.current.name} · ` : "";
    document.title = `${unread > 0 ? `(${unread}) ` : ""}${place}Chat · trunkline`;
  }

  // --- messages --------------------------------------------------------------------------------------------------------

  #showMessages() {
    const { current } = this.chat;
    const list = byId("messages");
    const wasAtEnd = list.scrollHeight - list.scrollTop - list.clientHeight < NEAR;
    const isOther = this.shown !== current;
    if (isOther) this.#changeDraft(this.shown, current);
    this.shown = current;
    const isPrivate = current?.kind === "private";
    setText(byId("title"), current ? (isPrivate ? `${current.name}, in private` : current.name) : "No room");
    for (const control of byId("say").elements) control.disabled = !current;
    byId("text").placeholder = current ? `Message ${isPrivate ? "to" : "in"} ${current.name}` : "Join a room first";

    const messages = current?.messages ?? [];
    const note = messages.length > 0 ? [] : [{ note: this.#note() }];
    const keyOf = (item) => (item.note ? `note:${item.note}` : `${current.id}/${item.from}/${item.key}`);
    const create = (item) => (item.note ? make("li", { className: "note" }, item.note) : this.#message(item));
    const update = (element, item, index) => item.note || this.#update(element, item, messages[index - 1]);
    sync(list, [...note, ...messages], keyOf, create, update);
    const typists = current?.typists(Date.now()) ?? [];
    setText(byId("typing"), typing(typists));
    const last = messages.at(-1);
    if (isOther || wasAtEnd || (last?.mine && last.state === "waiting")) list.scrollTop = list.scrollHeight;
  }

  /** What was typed for one conversation is not to be sent to another. */
  #changeDraft(before, now) {
    if (before) before.draft = byId("text").value;
    byId("text").value = now?.draft ?? "";
    this.#grow();
  }

  /** Whoever has used what is gone now goes on where one writes, or opens a room if there is none. */
  #focus() {
    byId(this.chat.current ? "text" : "room").focus();
  }

  #note() {
    const { current } = this.chat;
    if (!current) return "Join a room to talk.";
    if (current.kind === "private") return privacy(current.name);
    return current.joined ? "Nothing has been said here yet." : "Waiting for the line.";
  }

  #message(message) {
    const time = make("time", { dateTime: new Date(message.at).toISOString() });
    const from = make("p", { className: "from" }, message.mine ? "You" : message.from, time);
    return make("li", {}, from, make("p", { className: "text" }, message.text), make("p", { className: "fate" }));
  }

  #update(element, message, before) {
    const isFirst = before?.from !== message.from || message.at - before.at > TOGETHER_MS;
    element.className = [message.mine ? "mine" : "theirs", message.state, isFirst ? "first" : ""].join(" ").trim();
    const [from, , fate] = element.children;
    from.classList.toggle("unseen", !isFirst);
    setText(from.querySelector("time"), new Date(message.at).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" }));
    fate.hidden = !message.mine;
    if (!message.mine || fate.dataset.state === message.state) return;
    fate.dataset.state = message.state;
    const words = { waiting: "waiting", sent: "sent", failed: message.error };
    fate.replaceChildren(words[message.state]);
    if (message.state === "failed") {
      const again = make("button", { className: "quiet", type: "button" }, "Try again");
      const { current } = this.chat;
      again.addEventListener("click", () => {
        this.chat.retry(current, message);
        this.#focus();
      });
      fate.append(again);
    }
  }

  // --- what is done ----------------------------------------------------------------------------------------------------

  #listenToEntry() {
    byId("enter").addEventListener("submit", (event) => {
      event.preventDefault();
      setText(byId("entry-error"), "");
      const nickname = byId("nickname").value.trim();
      if (nickname) this.chat.enter(nickname);
    });
    byId("quit").addEventListener("click", () => this.chat.quit());
  }

  #listenToPanels() {
    byId("join").addEventListener("submit", (event) => {
      event.preventDefault();
      this.#join(byId("room").value);
    });
    for (const panel of ["places", "people"]) {
      const button = byId(`show-${panel}`);
      button.addEventListener("click", () => {
        const open = !byId(panel).classList.contains("open");
        this.#closePanels();
        byId(panel).classList.toggle("open", open);
        button.setAttribute("aria-expanded", String(open));
        if (open) byId(panel).querySelector("button")?.focus();
      });
    }
    byId("chat").addEventListener("keydown", (event) => {
      const open = event.key === "Escape" && byId("chat").querySelector(".panel.open");
      if (!open) return;
      this.#closePanels();
      byId(`show-${open.id}`).focus();
    });
    byId("chat").addEventListener("click", (event) => {
      if (!event.target.closest(".toggle, .panel")) this.#closePanels();
    });
  }

  #closePanels() {
    for (const panel of ["places", "people"]) {
      byId(panel).classList.remove("open");
      byId(`show-${panel}`).setAttribute("aria-expanded", "false");
    }
  }

  #listenToMessages() {
    const text = byId("text");
    text.addEventListener("input", () => {
      this.#grow();
      this.chat.type(text.value);
    });
    text.addEventListener("keydown", (event) => {
      // Not the Enter that ends the composing of a character.
      if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
      event.preventDefault();
      byId("say").requestSubmit();
    });
    byId("say").addEventListener("submit", (event) => {
      event.preventDefault();
      const said = text.value.trim();
      if (!said || !this.chat.current) return;
      text.value = "";
      this.#grow();
      this.chat.say(said);
      text.focus();
    });
  }

  #grow() {
    const text = byId("text");
    text.style.height = "auto";
    text.style.height = `${text.scrollHeight + 2}px`;
  }
}

const count = (number, one) => `${number} ${one}${number === 1 ? "" : "s"}`;

const privacy = (name) => `Only you and ${name} see what is written here. The server keeps nothing of it.`;

function typing(names) {
  if (names.length === 0) return "";
  if (names.length > 2) return `${names.length} people are typing …`;
  return `${names.join(" and ")} ${names.length === 1 ? "is" : "are"} typing …`;
}
