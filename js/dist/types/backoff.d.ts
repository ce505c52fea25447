/** Doubles from `reconnectionDelay` to `reconnectionDelayMax`, in ms, each time moved by a random part of `randomizationFactor`. */
export class Backoff {
    /**
     * @param {{ reconnectionDelay: number, reconnectionDelayMax: number, randomizationFactor: number }} settings may change
     * @param {() => number} [random]
     */
    constructor(settings: {
        reconnectionDelay: number;
        reconnectionDelayMax: number;
        randomizationFactor: number;
    }, random?: () => number);
    _attempts: number;
    _settings: {
        reconnectionDelay: number;
        reconnectionDelayMax: number;
        randomizationFactor: number;
    };
    _random: () => number;
    /** The delay of the next attempt in whole ms; counts the attempt. */
    _duration(): number;
    _reset(): void;
}
