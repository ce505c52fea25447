// Collects the outcome of every case and prints it.

/** One line for each case, a summary alone on the last line. */
export class Report {
  #counts = { passed: 0, failed: 0, skipped: 0 };
  #failures = [];
  #began = performance.now();

  constructor(skips) {
    this.skips = skips;
  }

  /** Notes a skip and returns true when the case is in a list of skips. */
  skip(name) {
    const reason = this.skips(name);
    if (reason === undefined) return false;
    this.#counts.skipped += 1;
    console.log(`skip  ${name}: ${reason}`);
    return true;
  }

  /** `failure` is the reason, or nothing when the case passed. */
  add(name, failure, ms) {
    const time = ms === undefined ? "" : ` (${Math.round(ms)} ms)`;
    if (failure) {
      this.#counts.failed += 1;
      this.#failures.push(name);
      console.log(`FAIL  ${name}${time}\n      ${failure.trim().replaceAll("\n", "\n      ")}`);
    } else {
      this.#counts.passed += 1;
      console.log(`ok    ${name}${time}`);
    }
  }

  /** Prints the end of the report and returns the exit code. */
  finish() {
    const { passed, failed, skipped } = this.#counts;
    if (failed > 0) console.log(`\nfailed:\n${this.#failures.map((name) => `  ${name}`).join("\n")}`);
    console.log(`\nall cases took ${Math.round((performance.now() - this.#began) / 1000)} s`);
    console.log(`${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ""}`);
    return failed > 0 || passed + skipped === 0 ? 1 : 0;
  }
}
