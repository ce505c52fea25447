/**
 * @typedef {{ args: any[], flags: any, tries: number, pending: boolean, ack: ((...args: any[]) => void) | undefined }} Retried
 */
/** The queue of one socket with the option `retries`. */
export class RetryQueue {
    /**
     * @param {number} retries how often an event is sent again
     * @param {number} maxCount events that may wait
     * @param {() => boolean} ready whether there is a connection
     * @param {(args: any[], flags: any) => void} send
     */
    constructor(retries: number, maxCount: number, ready: () => boolean, send: (args: any[], flags: any) => void);
    _retries: number;
    _ready: () => boolean;
    _maxCount: number;
    _send: (args: any[], flags: any) => void;
    /**
     * @param {any[]} args
     * @param {any} flags
     */
    push(args: any[], flags: any): any;
    /**
     * Sends the first event unless it is under way; `again`: even then, because what was sent got lost with its connection.
     * @param {boolean} [again]
     */
    _drain(again?: boolean): void;
    #private;
}
export type Retried = {
    args: any[];
    flags: any;
    tries: number;
    pending: boolean;
    ack: ((...args: any[]) => void) | undefined;
};
