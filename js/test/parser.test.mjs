// The Socket.IO parser: what it writes, what it reads, and what it refuses.
import { deepStrictEqual as equal, strictEqual, throws } from "node:assert/strict";
import { test } from "node:test";
import { Decoder, Encoder } from "../src/parser.js";

const encode = (packet) => new Encoder().encode(packet);

function decode(...frames) {
  const decoder = new Decoder();
  const packets = [];
  decoder.on("decoded", (packet) => packets.push(packet));
  for (const frame of frames) decoder.add(frame);
  return packets;
}

test("writes every type as the protocol has it", () => {
  equal(encode({ type: 0, nsp: "/" }), ["0"]);
  equal(encode({ type: 0, nsp: "/admin", data: { token: "1" } }), ['0/admin,{"token":"1"}']);
  equal(encode({ type: 1, nsp: "/admin" }), ["1/admin,"]);
  equal(encode({ type: 2, nsp: "/", data: ["a", undefined] }), ['2["a",null]']);
  equal(encode({ type: 2, nsp: "/admin", data: ["a"], id: 12 }), ['2/admin,12["a"]']);
  equal(encode({ type: 3, nsp: "/", data: [], id: 0 }), ["30[]"]);
});

test("takes binary of every kind out of any place", () => {
  const bytes = new Uint8Array([1, 2]);
  const blob = new Blob(["x"]);
  const view = new DataView(new ArrayBuffer(1));
  const buffer = Buffer.from("abc");
  const data = ["a", bytes, { deep: [buffer, { view }] }, blob];
  const [text, ...attachments] = encode({ type: 2, nsp: "/", data, id: 3 });
  strictEqual(
    text,
    '54-3["a",{"_placeholder":true,"num":0},{"deep":[{"_placeholder":true,"num":1},{"view":{"_placeholder":true,"num":2}}]},' +
      '{"_placeholder":true,"num":3}]',
  );
  equal(attachments, [bytes, buffer, view, blob]);
  equal(data[1], bytes, "the arguments stay as they are");
  equal(encode({ type: 3, nsp: "/", id: 1, data: [bytes] })[0], '61-1[{"_placeholder":true,"num":0}]');
});

test("a binary in what is no event does not change the type", () => {
  equal(encode({ type: 0, nsp: "/", data: { a: new Uint8Array([7]) } }), ['0{"a":{"0":7}}']);
});

test("throws at what JSON cannot hold", () => {
  const circular = {};
  circular.self = circular;
  throws(() => encode({ type: 2, nsp: "/", data: ["a", circular] }), TypeError);
});

test("reads every type", () => {
  equal(decode("0"), [{ type: 0, nsp: "/", data: undefined }]);
  equal(decode('0/admin,{"sid":"x"}'), [{ type: 0, nsp: "/admin", data: { sid: "x" } }]);
  equal(decode("1/admin,"), [{ type: 1, nsp: "/admin", data: undefined }]);
  equal(decode('2/a,7["e",1]'), [{ type: 2, nsp: "/a", id: 7, data: ["e", 1] }]);
  equal(decode('30["x"]'), [{ type: 3, nsp: "/", id: 0, data: ["x"] }]);
  equal(decode('4{"message":"no"}'), [{ type: 4, nsp: "/", data: { message: "no" } }]);
  equal(decode('2["a","1-2",{"_placeholder":true,"num":9}]')[0].data[2], { _placeholder: true, num: 9 });
});

test("puts attachments where they belong", () => {
  const [first, second] = [Buffer.from("1"), Buffer.from("2")];
  const text = '52-["e",{"x":{"_placeholder":true,"num":1}},{"_placeholder":true,"num":0}]';
  equal(decode(text, first, second), [{ type: 2, nsp: "/", data: ["e", { x: second }, first] }]);
  equal(decode('50-["e"]'), [{ type: 2, nsp: "/", data: ["e"] }]);
});

const REFUSED = {
  "an unknown type": ["7"],
  "no text": [""],
  "no JSON": ["2[oops"],
  "text behind the JSON": ['2["a"]x'],
  "an event without payload": ["2"],
  "an event that is no array": ['2{"a":1}'],
  "an event without a name": ["2[]"],
  "a null name": ["2[null]"],
  "an object as name": ['2[{"toString":"foo"}]'],
  "the name connect": ['2["connect"]'],
  "the name disconnect": ['2["disconnect",1]'],
  "the name connect_error": ['2["connect_error"]'],
  "the name newListener": ['2["newListener"]'],
  "an acknowledgement that is no array": ["31{}"],
  "an acknowledgement without id": ["3[1]"],
  "an id beyond what a number holds": [`2${"9".repeat(400)}["a"]`],
  "an id of a megabyte": [`2${"9".repeat(1_000_000)}`],
  "CONNECT with an array": ["0[]"],
  "CONNECT with null": ["0null"],
  "DISCONNECT with a payload": ["1{}"],
  "a refusal that is a number": ["4 5"],
  "too many attachments": ['511-["a"]'],
  "an absurd number of attachments": ['5999999999999-["a"]'],
  "attachments without a number": ['5-["a"]'],
  "no attachments in a binary event": ['5["a"]'],
  "attachments of what has none": ['21-["a"]'],
  "text in place of an attachment": ['51-["a",{"_placeholder":true,"num":0}]', '2["b"]'],
  "an attachment without its text": [Buffer.from("a")],
  "one attachment too many": ['51-["a",{"_placeholder":true,"num":0}]', Buffer.from("a"), Buffer.from("b")],
  "a placeholder that names a method": ['51-["a",{"_placeholder":true,"num":"splice"}]', Buffer.from("a")],
  "a negative placeholder": ['51-["a",{"_placeholder":true,"num":-1}]', Buffer.from("a")],
  "a broken placeholder": ['51-["a",{"_placeholder":true,"num":0.5}]', Buffer.from("a")],
  "a placeholder too high": ['51-["a",{"_placeholder":true,"num":1}]', Buffer.from("a")],
  "a placeholder in a packet without attachments": ['50-["a",{"_placeholder":true,"num":0}]'],
  "a deep array": [`2["a",${"[".repeat(200)}${"]".repeat(200)}]`],
  "a very deep array": [`2["a",${"[".repeat(20_000)}${"]".repeat(20_000)}]`],
};

for (const [what, frames] of Object.entries(REFUSED)) {
  test(`refuses ${what}`, () => throws(() => decode(...frames), Error));
}

test("no placeholder and no key reaches a prototype", () => {
  const text = '51-["a",{"__proto__":{"polluted":{"_placeholder":true,"num":0}},"constructor":{"prototype":{"polluted":1}}}]';
  const [{ data }] = decode(text, Buffer.from("x"));
  strictEqual({}.polluted, undefined);
  strictEqual(Object.getPrototypeOf(data[1]), Object.prototype);
  equal(Object.getOwnPropertyDescriptor(data[1], "__proto__").value, { polluted: Buffer.from("x") });
});
