/** The clock of one connection; `lost` is called once. */
export class Heartbeat {
    /** @param {() => void} lost */
    constructor(lost: () => void);
    _lost: () => void;
    /**
     * The server was heard: it may now be silent for `ms`.
     * @param {number} ms
     * @param {boolean} [unref] whether Node.js may end while this timer runs
     */
    _heard(ms: number, unref?: boolean): void;
    /**
     * Whether the deadline is over although no timer said so: browsers hold back the timers of a hidden page or a sleeping
     * machine. The loss is then reported soon after.
     */
    _expired(): boolean;
    _stop(): void;
    #private;
}
