// Types as applications use them, by the declarations that ship: checked by tsc, never run. Every line marked as an error must be one.
import io, { Manager, Socket, connect, io as named, protocol } from "trunkline";
import type { DisconnectDescription, ManagerOptions, SocketOptions } from "trunkline";

interface ServerToClient {
  said: (room: string, text: string) => void;
  file: (name: string, content: ArrayBuffer) => void;
  ask: (question: string, answer: (value: number) => void) => void;
}

interface ClientToServer {
  say: (text: string) => void;
  join: (room: string, ack: (members: string[]) => void) => void;
  leave: (room: string, ack?: (done: boolean) => void) => void;
  upload: (content: Blob | Uint8Array, ack: (error: Error | null, size: number) => void) => void;
  greet: (ack: (reply: { message: string }) => void) => void;
  anything: (ack: (reply: any) => void) => void;
}

export function receiving(socket: Socket<ServerToClient, ClientToServer>) {
  socket.on("connect", () => socket.id?.length);
  socket.on("disconnect", (reason, details) => {
    const known: "ping timeout" | string = reason;
    if (reason === "io server disconnect") socket.connect();
    if (details && !(details instanceof Error)) void details.description;
    return void known;
  });
  socket.on("connect_error", (error) => {
    void [error.message.length, error.data, error.description, error.context];
  });
  socket.on("said", (room, text) => void (room.length + text.length)).once("file", (name, content) => void content.byteLength);
  socket.on("ask", (question, answer) => answer(question.length));
  socket.off("said").off("said", (room: string) => void room).off();
  socket.onAny((event, ...args) => void [event.length, args.length]).offAny();
  socket.removeAllListeners("said").removeAllListeners();
  socket.addEventListener("said", (room) => void room.length);
  const listener = (name: string) => void name;
  socket.removeListener("file", listener).removeEventListener("file", listener);

  // @ts-expect-error: no such event
  socket.on("shouted", () => {});
  // @ts-expect-error: an event of the other direction
  socket.on("say", () => {});
  // @ts-expect-error: the first argument is a text
  socket.on("said", (room: number) => void room);
  // @ts-expect-error: more arguments than there are
  socket.once("said", (room, text, third) => void [room, text, third]);
  // @ts-expect-error: the answer is a number
  socket.on("ask", (question, answer) => answer(question));
  // @ts-expect-error: no reason of the protocol
  socket.on("disconnect", (reason) => reason === "tired");
  // @ts-expect-error: of another type
  socket.addEventListener("said", (room: number) => void room);
}

export async function sending(socket: Socket<ServerToClient, ClientToServer>) {
  socket.emit("say", "hello").emit("leave", "lobby");
  socket.emit("join", "lobby", (members) => members.map((name) => name.length));
  socket.volatile.compress(false).emit("say", "perhaps");
  socket.timeout(500).emit("join", "lobby", (error, members) => void [error.message, members.length]);
  const members: string[] = await socket.emitWithAck("join", "lobby");
  const timed: string[] = await socket.timeout(500).emitWithAck("join", "lobby");
  const size: number = await socket.emitWithAck("upload", new Uint8Array(3));
  // An error would fit these, but is not meant.
  const greeting: { message: string } = await socket.emitWithAck("greet");
  const anything: any = (await socket.timeout(500).emitWithAck("anything")).anything;

  // @ts-expect-error: no such event
  socket.emit("shout", "hello");
  // @ts-expect-error: an event of the other direction
  socket.emit("said", "lobby", "hello");
  // @ts-expect-error: a number is no text
  socket.emit("say", 1);
  // @ts-expect-error: an argument is missing
  socket.emit("say");
  // @ts-expect-error: one argument too many
  socket.emit("say", "hello", "there");
  // @ts-expect-error: without the error in front
  socket.timeout(500).emit("join", "lobby", (names: string[]) => void names);
  // @ts-expect-error: the answer is a list
  const name: string = await socket.emitWithAck("join", "lobby");
  // @ts-expect-error: not a room
  await socket.timeout(500).emitWithAck("join", 1);
  return [members, timed, size, name, greeting, anything];
}

export function making() {
  const socket: Socket<ServerToClient, ClientToServer> = io("/team", { auth: { token: "t" }, transports: ["websocket"] });
  const other = named<ServerToClient, ClientToServer>({ autoConnect: false, auth: async () => ({ token: "t" }) });
  const third = connect("https://server.test", { auth: (send) => send({ token: "t" }), offlineBuffer: { policy: "last", maxCount: 5 } });
  third.on("anything", (value) => void value.whatever).emit("whatever", 1, { two: 2 });
  const options: Partial<ManagerOptions & SocketOptions> = { reconnectionDelay: 100, retries: 3, ackTimeout: 500, timeout: false };
  const manager: Manager<ServerToClient, ClientToServer> = new Manager("https://server.test", options);
  manager.socket("/team", { retries: 1 }).emit("say", "hello");
  manager.on("reconnect_attempt", (attempt) => void attempt.toFixed()).once("close", (reason) => void reason.length);
  manager.reconnectionAttempts(3).timeout(1000);
  manager.engine.on("upgrade", (transport) => void transport.name);
  const why: DisconnectDescription = { description: "network connection lost" };

  // @ts-expect-error: no such policy
  io({ offlineBuffer: { policy: "first" } });
  // @ts-expect-error: ms are a number
  io({ reconnectionDelay: "1s" });
  // @ts-expect-error: credentials have names
  io({ auth: "token" });
  // @ts-expect-error: not an event of the connection
  manager.on("reconnecting", () => {});
  return [socket, other, why, protocol.toFixed()];
}
