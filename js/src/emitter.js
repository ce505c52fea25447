// Listeners by event name: the base of everything here that has events.
import { guard } from "./platform.js";

/** @typedef {import("./types.js").EventsMap} EventsMap */

/**
 * `Reserved` are the events of the library, `Listen` those of the application.
 * @template {EventsMap} [Listen=EventsMap]
 * @template {EventsMap} [Reserved={}]
 */
export class Emitter {
  /** The lists are replaced, never changed: an event goes to those who listen when it begins. @type {Map<PropertyKey, any[]>} */
  #listeners = new Map();

  /**
   * Calls `listener` at each `event`.
   * @template {import("./types.js").EventNames<Reserved> | import("./types.js").EventNames<Listen>} E
   * @param {E} event
   * @param {import("./types.js").Listener<Listen, Reserved, E>} listener
   * @returns {this}
   */
  on(event, listener) {
    this.#listeners.set(event, [...this.listeners(event), listener]);
    return this;
  }

  /**
   * As `on`, but before the listeners that are there.
   * @internal
   * @param {PropertyKey} event
   * @param {any} listener
   */
  _prepend(event, listener) {
    this.#listeners.set(event, [listener, ...this.listeners(event)]);
  }

  /**
   * Calls `listener` at the next `event` only.
   * @template {import("./types.js").EventNames<Reserved> | import("./types.js").EventNames<Listen>} E
   * @param {E} event
   * @param {import("./types.js").Listener<Listen, Reserved, E>} listener
   * @returns {this}
   */
  once(event, listener) {
    /** @type {any} */
    const wrapped = (/** @type {any[]} */ ...args) => {
      this.off(event, wrapped);
      /** @type {any} */ (listener).apply(this, args);
    };
    wrapped.listener = listener;
    return this.on(event, wrapped);
  }

  /**
   * Forgets one listener, all listeners of `event`, or, without arguments, all.
   * @template {import("./types.js").EventNames<Reserved> | import("./types.js").EventNames<Listen>} E
   * @param {E} [event]
   * @param {import("./types.js").Listener<Listen, Reserved, E>} [listener]
   * @returns {this}
   */
  off(event, listener) {
    if (event === undefined) this.#listeners.clear();
    else {
      const list = this.listeners(event);
      const at = list.findIndex((known) => known === listener || known.listener === listener);
      if (at >= 0) list.splice(at, 1);
      // Nothing stays of a name that nobody listens to: there may be a new one for each question.
      if (listener && list.length) this.#listeners.set(event, list);
      else this.#listeners.delete(event);
    }
    return this;
  }

  /**
   * The listeners of `event`, as a copy.
   * @param {PropertyKey} event
   * @returns {any[]}
   */
  listeners(event) {
    return [...(this.#listeners.get(event) ?? [])];
  }

  /** @param {PropertyKey} event */
  hasListeners(event) {
    return this.#listeners.has(event);
  }

  /**
   * Calls the listeners of `event` in the order in which they came; an error of one does not stop the others or the caller.
   * @internal
   * @param {PropertyKey} event
   * @param {any[]} args
   */
  _emit(event, ...args) {
    for (const listener of this.#listeners.get(event) ?? []) guard(() => listener.apply(this, args));
  }

  // The other names under which applications know `on` and `off`.
  addEventListener = this.on;
  removeListener = this.off;
  removeEventListener = this.off;
  removeAllListeners = this.off;
}

/**
 * Listens until the returned function is called; not even an event that is under way is heard after that.
 * @param {any} emitter
 * @param {string} event
 * @param {(...args: any[]) => void} listener
 */
export function subscribe(emitter, event, listener) {
  let isOver = false;
  const heard = (/** @type {any[]} */ ...args) => isOver || listener(...args);
  emitter.on(event, heard);
  return () => {
    isOver = true;
    emitter.off(event, heard);
  };
}
