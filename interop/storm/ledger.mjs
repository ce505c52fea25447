// What was published in a room, what a receiver heard of it, and what follows; the rules of crates/server/src/verify/ledger.rs.

export const UNSURE = 0;
export const TAKEN = 1;
export const REFUSED = 2;

/** A room and the fates of its numbers, from 0. */
export class Room {
  fates = [];
  skipped = 0;

  constructor(name) {
    this.name = name;
  }

  /** The first number that was not sent yet. */
  get next() {
    return this.fates.length;
  }
}

/** What one receiver heard. */
export class Heard {
  #seen = new Set();
  #end = 0;
  #gapFrom;
  #gaps = [];
  received = 0;
  duplicated = [];
  #late = [];

  event(number) {
    this.received += 1;
    if (this.#seen.has(number)) return void this.duplicated.push(number);
    this.#seen.add(number);
    if (number < this.#end) this.#late.push(number);
    this.#end = Math.max(this.#end, number + 1);
  }

  /** The server said that the client is a new one. */
  openGap() {
    this.#gapFrom ??= this.#end;
  }

  /** The client is in its room again: what is sent from `next` on must come. */
  closeGap(next) {
    if (this.#gapFrom !== undefined && this.#gapFrom < next) this.#gaps.push([this.#gapFrom, next]);
    this.#gapFrom = undefined;
  }

  judge({ fates }) {
    const gaps = this.#gapFrom === undefined ? this.#gaps : [...this.#gaps, [this.#gapFrom, Infinity]];
    const lost = [];
    const missing = [];
    let expected = 0;
    fates.forEach((fate, number) => {
      if (fate !== TAKEN) return;
      expected += 1;
      if (this.#seen.has(number)) return;
      (gaps.some(([from, to]) => from <= number && number < to) ? missing : lost).push(number);
    });
    const reordered = this.#late.filter((number) => fates[number] === TAKEN);
    const invented = [...this.#seen].filter((number) => !(number in fates)).length;
    return { expected, received: this.received, lost, in_gaps: missing, duplicated: this.duplicated, reordered, invented };
  }
}
