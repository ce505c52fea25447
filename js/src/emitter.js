// Listeners by event name: the base of everything here that has events.

/** @typedef {import("./types.js").EventsMap} EventsMap */

/**
 * `Reserved` are the events of the library, `Listen` those of the application.
 * @template {EventsMap} [Listen=EventsMap]
 * @template {EventsMap} [Reserved={}]
 */
export class Emitter {
  /** @type {Map<PropertyKey, any[]>} */
  #listeners = new Map();

  /**
   * Calls `listener` at each `event`.
   * @template {import("./types.js").EventNames<Reserved> | import("./types.js").EventNames<Listen>} E
   * @param {E} event
   * @param {import("./types.js").Listener<Listen, Reserved, E>} listener
   * @returns {this}
   */
  on(event, listener) {
    const list = this.#listeners.get(event);
    if (list) list.push(listener);
    else this.#listeners.set(event, [listener]);
    return this;
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
    else if (!listener) this.#listeners.delete(event);
    else {
      const list = this.listeners(event);
      const at = list.findIndex((/** @type {any} */ known) => known === listener || known.listener === listener);
      if (at >= 0) list.splice(at, 1);
      if (list.length) this.#listeners.set(event, list);
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
   * Calls the listeners of `event` in the order in which they came.
   * @internal
   * @param {PropertyKey} event
   * @param {any[]} args
   */
  _emit(event, ...args) {
    for (const listener of this.listeners(event)) listener.apply(this, args);
  }
}

// The other names under which applications know `on` and `off`.
const { prototype } = /** @type {any} */ (Emitter);
prototype.addEventListener = prototype.on;
prototype.removeListener = prototype.removeEventListener = prototype.removeAllListeners = prototype.off;
