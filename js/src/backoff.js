// How long to wait before the next attempt to connect.

/** Doubles from `reconnectionDelay` to `reconnectionDelayMax`, in ms, each time moved by a random part of `randomizationFactor`. */
export class Backoff {
  _attempts = 0;

  /**
   * @param {{ reconnectionDelay: number, reconnectionDelayMax: number, randomizationFactor: number }} settings may change
   * @param {() => number} [random]
   */
  constructor(settings, random = Math.random) {
    this._settings = settings;
    this._random = random;
  }

  /** The delay of the next attempt in whole ms; counts the attempt. */
  _duration() {
    const { reconnectionDelay, reconnectionDelayMax, randomizationFactor } = this._settings;
    // From 2^1024 on the formula would give Infinity minus Infinity.
    const ms = reconnectionDelay * 2 ** Math.min(this._attempts++, 52);
    const random = this._random();
    const deviation = Math.floor(random * randomizationFactor * ms);
    return Math.floor(Math.min((random * 10) & 1 ? ms + deviation : ms - deviation, reconnectionDelayMax));
  }

  _reset() {
    this._attempts = 0;
  }
}
