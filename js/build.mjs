// Builds dist/: both bundles with their source maps, and the type declarations. `--check` builds elsewhere and compares.
import { mkdtempSync, readFileSync, readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import { build } from "esbuild";
import ts from "typescript";

/** Bytes that a bundle may have after gzip. */
const LIMIT = 8_192;

const here = (path) => fileURLToPath(new URL(path, import.meta.url));
const DIST = here("dist");
const BUNDLES = [
  { entry: "src/global.js", format: "iife", name: "trunkline.min.js" },
  { entry: "src/index.js", format: "esm", name: "trunkline.esm.min.js" },
];

/** Fills the empty folder `folder`. */
async function buildInto(folder) {
  for (const { entry, format, name } of BUNDLES) {
    await build({
      absWorkingDir: here("."),
      entryPoints: [entry],
      outfile: join(folder, name),
      bundle: true,
      minify: true,
      sourcemap: true,
      sourceRoot: "trunkline",
      target: "es2022",
      format,
      // Members that begin with an underscore are ours alone; the placeholder's is on the wire.
      mangleProps: /^_/,
      reserveProps: /^_placeholder$/,

      legalComments: "none",
    });
  }
  declarations(join(folder, "types"));
}

function declarations(folder) {
  const program = ts.createProgram([here("src/index.js")], {
    allowJs: true,
    declaration: true,
    emitDeclarationOnly: true,
    stripInternal: true,
    strict: true,
    target: ts.ScriptTarget.ES2022,
    module: ts.ModuleKind.NodeNext,
    moduleResolution: ts.ModuleResolutionKind.NodeNext,
    lib: ["lib.es2022.d.ts", "lib.dom.d.ts", "lib.dom.iterable.d.ts"],
    types: [],
    rootDir: here("src"),
    outDir: folder,
  });
  const { diagnostics } = program.emit();
  if (diagnostics.length > 0) throw new Error(ts.formatDiagnostics(diagnostics, { getCanonicalFileName: (name) => name, getCurrentDirectory: () => here("."), getNewLine: () => "\n" }));
}

/** Path and content of every file below `folder`. */
function contents(folder) {
  const files = readdirSync(folder, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
  return new Map(
    files.map(({ parentPath, name }) => {
      const path = join(parentPath, name);
      return [path.slice(folder.length + 1), readFileSync(path)];
    }),
  );
}

function sizes(folder) {
  let tooLarge = false;
  for (const { name } of BUNDLES) {
    const bytes = readFileSync(join(folder, name));
    const zipped = gzipSync(bytes, { level: 9 }).length;
    console.log(`${name}: ${bytes.length} bytes, ${zipped} after gzip (limit ${LIMIT})`);
    tooLarge ||= zipped > LIMIT;
  }
  return tooLarge;
}

function differences(built, committed) {
  const names = new Set([...built.keys(), ...committed.keys()]);
  return [...names].filter((name) => !built.get(name)?.equals(committed.get(name) ?? Buffer.alloc(0)));
}

if (process.argv.includes("--check")) {
  // Beside dist/, so that the source maps name the sources alike.
  const folder = mkdtempSync(here(".build-"));
  try {
    await buildInto(folder);
    const different = differences(contents(folder), contents(DIST));
    if (different.length > 0) {
      console.error(`dist/ is not what src/ makes; run \`node build.mjs\`:\n  ${different.join("\n  ")}`);
      process.exitCode = 1;
    }
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
} else {
  rmSync(DIST, { recursive: true, force: true });
  await buildInto(DIST);
}
if (sizes(DIST)) {
  console.error(`a bundle has more than ${LIMIT} bytes after gzip`);
  process.exitCode = 1;
}
