/**
 * Listens until the returned function is called; not even an event that is under way is heard after that.
 * @param {any} emitter
 * @param {string} event
 * @param {(...args: any[]) => void} listener
 */
export function subscribe(emitter: any, event: string, listener: (...args: any[]) => void): () => void;
/** @typedef {import("./types.js").EventsMap} EventsMap */
/**
 * `Reserved` are the events of the library, `Listen` those of the application.
 * @template {EventsMap} [Listen=EventsMap]
 * @template {EventsMap} [Reserved={}]
 */
export class Emitter<Listen extends EventsMap = import("./types.js").EventsMap, Reserved extends EventsMap = {}> {
    /**
     * Calls `listener` at each `event`.
     * @template {import("./types.js").EventNames<Reserved> | import("./types.js").EventNames<Listen>} E
     * @param {E} event
     * @param {import("./types.js").Listener<Listen, Reserved, E>} listener
     * @returns {this}
     */
    on<E extends import("./types.js").EventNames<Reserved> | import("./types.js").EventNames<Listen>>(event: E, listener: import("./types.js").Listener<Listen, Reserved, E>): this;
    /**
     * As `on`, but before the listeners that are there.
     * @internal
     * @param {PropertyKey} event
     * @param {any} listener
     */
    _prepend(event: PropertyKey, listener: any): void;
    /**
     * Calls `listener` at the next `event` only.
     * @template {import("./types.js").EventNames<Reserved> | import("./types.js").EventNames<Listen>} E
     * @param {E} event
     * @param {import("./types.js").Listener<Listen, Reserved, E>} listener
     * @returns {this}
     */
    once<E extends import("./types.js").EventNames<Reserved> | import("./types.js").EventNames<Listen>>(event: E, listener: import("./types.js").Listener<Listen, Reserved, E>): this;
    /**
     * Forgets one listener, all listeners of `event`, or, without arguments, all.
     * @template {import("./types.js").EventNames<Reserved> | import("./types.js").EventNames<Listen>} E
     * @param {E} [event]
     * @param {import("./types.js").Listener<Listen, Reserved, E>} [listener]
     * @returns {this}
     */
    off<E extends import("./types.js").EventNames<Reserved> | import("./types.js").EventNames<Listen>>(event?: E, listener?: import("./types.js").Listener<Listen, Reserved, E>): this;
    /**
     * The listeners of `event`, as a copy.
     * @param {PropertyKey} event
     * @returns {any[]}
     */
    listeners(event: PropertyKey): any[];
    /** @param {PropertyKey} event */
    hasListeners(event: PropertyKey): boolean;
    /**
     * Calls the listeners of `event` in the order in which they came; an error of one does not stop the others or the caller.
     * @internal
     * @param {PropertyKey} event
     * @param {any[]} args
     */
    _emit(event: PropertyKey, ...args: any[]): void;
    addEventListener: <E extends import("./types.js").EventNames<Reserved> | import("./types.js").EventNames<Listen>>(event: E, listener: import("./types.js").Listener<Listen, Reserved, E>) => this;
    removeListener: <E extends import("./types.js").EventNames<Reserved> | import("./types.js").EventNames<Listen>>(event?: E, listener?: import("./types.js").Listener<Listen, Reserved, E>) => this;
    removeEventListener: <E extends import("./types.js").EventNames<Reserved> | import("./types.js").EventNames<Listen>>(event?: E, listener?: import("./types.js").Listener<Listen, Reserved, E>) => this;
    removeAllListeners: <E extends import("./types.js").EventNames<Reserved> | import("./types.js").EventNames<Listen>>(event?: E, listener?: import("./types.js").Listener<Listen, Reserved, E>) => this;
    #private;
}
export type EventsMap = import("./types.js").EventsMap;
