// Serves a page for each browser bundle, the published client's and both of ours, from an origin of its own.
import { readFileSync } from "node:fs";
import http from "node:http";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";

const require = createRequire(import.meta.url);
const BUNDLE = join(dirname(require.resolve("socket.io-client-4/package.json")), "dist/socket.io.min.js");
const TRUNKLINE = new URL("../../js/dist/trunkline.min.js", import.meta.url);
const MODULE = new URL("../../js/dist/trunkline.esm.min.js", import.meta.url);
const HTML = "text/html; charset=utf-8";
const SCRIPT = "text/javascript; charset=utf-8";
const page = (script) => `<!doctype html><meta charset="utf-8"><title>interop</title>${script}`;
const IMPORT = 'import { io } from "/trunkline.esm.js"; window.io = io;';

/** The server of pages, on a port of its own. */
export class PageServer {
  static async start() {
    const files = {
      "/": [HTML, page('<script src="/client.js"></script>')],
      "/client.js": [SCRIPT, readFileSync(BUNDLE)],
      "/trunkline": [HTML, page('<script src="/trunkline.js"></script>')],
      "/trunkline.js": [SCRIPT, readFileSync(TRUNKLINE)],
      "/trunkline-esm": [HTML, page(`<script type="module">${IMPORT}</script>`)],
      "/trunkline.esm.js": [SCRIPT, readFileSync(MODULE)],
    };
    const server = new PageServer();
    server.http = http.createServer((request, response) => {
      const file = files[request.url];
      if (file) response.writeHead(200, { "content-type": file[0] }).end(file[1]);
      else response.writeHead(404).end();
    });
    await new Promise((resolve) => server.http.listen(0, resolve));
    server.port = server.http.address().port;
    return server;
  }

  async stop() {
    this.http.closeAllConnections();
    await new Promise((resolve) => this.http.close(resolve));
  }
}
