// What a browser asks before and reads after a request, looked at as plain HTTP.
import { deepStrictEqual as equal, match, strictEqual } from "node:assert/strict";
import http from "node:http";

const HANDSHAKE = "/socket.io/?EIO=4&transport=polling";
const UPGRADE = "/socket.io/?EIO=4&transport=websocket";

export const preflightScenarios = [
  {
    name: "preflight/allowed",
    async run(world) {
      const answer = await ask(world, "OPTIONS", HANDSHAKE, preflight(world.origin));
      strictEqual(answer.status, 204);
      equal(allowance(answer), [world.origin, "true"]);
      const methods = answer.headers["access-control-allow-methods"].split(/, */);
      equal(
        ["GET", "POST"].filter((method) => !methods.includes(method)),
        [],
      );
      strictEqual(answer.headers["access-control-allow-headers"]?.toLowerCase(), "content-type,x-token");
    },
  },
  {
    name: "preflight/second-allowed-origin",
    async run(world) {
      const answer = await ask(world, "OPTIONS", HANDSHAKE, preflight("https://app.test"));
      equal(allowance(answer), ["https://app.test", "true"]);
    },
  },
  {
    name: "preflight/foreign",
    async run(world) {
      for (const origin of [world.foreignOrigin, "null", "https://app.test.evil.test", "http://app.test"]) {
        const answer = await ask(world, "OPTIONS", HANDSHAKE, preflight(origin));
        strictEqual(answer.headers["access-control-allow-origin"], undefined, `allowed to ${origin}`);
      }
    },
  },
  {
    name: "cors-headers/handshake",
    async run(world) {
      const answer = await ask(world, "GET", HANDSHAKE, { origin: world.origin });
      strictEqual(answer.status, 200);
      equal(allowance(answer), [world.origin, "true"]);
      match(answer.headers.vary, /(^|, *)origin(,|$)/i);
    },
  },
  {
    name: "cors-headers/errors",
    async run(world) {
      // A page can read why it failed only if the error carries the headers too.
      const wrong = { "unknown sid": `${HANDSHAKE}&sid=nobody`, "no transport": "/socket.io/?EIO=4" };
      for (const [what, path] of Object.entries(wrong)) {
        const answer = await ask(world, "GET", path, { origin: world.origin });
        strictEqual(answer.status, 400, what);
        equal(allowance(answer), [world.origin, "true"], what);
      }
    },
  },
  {
    name: "no-origin/allowed",
    async run(world) {
      strictEqual((await ask(world, "GET", HANDSHAKE, {})).status, 200);
    },
  },
  {
    name: "upgrade-request/allowed",
    async run(world) {
      strictEqual((await ask(world, "GET", UPGRADE, upgrade(world.origin))).status, 101);
    },
  },
];

const preflight = (origin) => ({
  origin,
  "access-control-request-method": "POST",
  "access-control-request-headers": "content-type,x-token",
});

const upgrade = (origin) => ({
  origin,
  connection: "Upgrade",
  upgrade: "websocket",
  "sec-websocket-version": "13",
  "sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ==",
});

const allowance = ({ headers }) => [
  headers["access-control-allow-origin"],
  headers["access-control-allow-credentials"],
];

function ask(world, method, path, headers) {
  return new Promise((resolve, reject) => {
    const options = { host: "127.0.0.1", port: world.port, method, path, headers, agent: false };
    const request = http.request(options);
    const answer = ({ statusCode: status, headers: received }) => resolve({ status, headers: received });
    request.on("response", (response) => {
      response.resume();
      response.on("end", () => answer(response));
    });
    request.on("upgrade", (response, socket) => {
      socket.destroy();
      answer(response);
    });
    request.on("error", reject);
    request.end();
  });
}
