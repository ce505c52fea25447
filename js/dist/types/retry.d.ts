/**
 * @typedef {{ _args: any[], _flags: any, _tries: number, _pending: boolean, _id?: number, _ack: ((...args: any[]) => void) | undefined }} Retried
 */
/** The queue of one socket with the option `retries`. */
export class RetryQueue {
    /**
     * @param {number} retries how often an event is sent again
     * @param {number} maxCount events that may wait
     * @param {() => boolean} ready whether there is a connection
     * @param {(args: any[], flags: any, id?: number) => number | undefined} send with the id of an earlier try, if that is to be kept; gives the id
     */
    constructor(retries: number, maxCount: number, ready: () => boolean, send: (args: any[], flags: any, id?: number) => number | undefined);
    /** Whether the server knows a repeat by the id of the first try. @type {boolean | undefined} */
    _keepsIds: boolean | undefined;
    _retries: number;
    _ready: () => boolean;
    _maxCount: number;
    _send: (args: any[], flags: any, id?: number) => number | undefined;
    /**
     * @param {any[]} args
     * @param {any} flags
     */
    push(args: any[], flags: any): any;
    /** Sends the first event, unless its answer is awaited: that ends with the answer, in time, or with the connection. */
    _drain(): void;
    #private;
}
export type Retried = {
    _args: any[];
    _flags: any;
    _tries: number;
    _pending: boolean;
    _id?: number;
    _ack: ((...args: any[]) => void) | undefined;
};
