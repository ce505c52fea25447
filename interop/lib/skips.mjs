// Reads the lists of cases that are not run, each with its reason: `[[skip]]` tables with `case` and `reason`.
import { readFileSync } from "node:fs";

/** Returns a function from a case name to the reason why it is skipped, or undefined. */
export function readSkips(...files) {
  const skips = files.flatMap((file) => parse(readFileSync(file, "utf8"), file));
  return (name) => skips.find((skip) => skip.pattern.test(name))?.reason;
}

function parse(text, file) {
  const skips = [];
  for (const [index, line] of text.split("\n").entries()) {
    const where = `${file}:${index + 1}`;
    if (/^\s*(#.*)?$/.test(line)) continue;
    if (line.trim() === "[[skip]]") {
      skips.push({ where });
      continue;
    }
    const match = /^(case|reason) = "(.*)"$/.exec(line.trim());
    if (!match || skips.length === 0)
      throw new Error(`${where}: expected [[skip]], case = "…" or reason = "…"`);
    skips.at(-1)[match[1]] = match[2];
  }
  return skips.map(({ case: name, reason, where }) => {
    if (!name || !reason) throw new Error(`${where}: a skip needs a case and a reason`);
    const literal = name.split("*").map((part) => part.replace(/[.+?^${}()|[\]\\]/g, "\\$&"));
    return { pattern: new RegExp(`^${literal.join(".*")}$`), reason };
  });
}
