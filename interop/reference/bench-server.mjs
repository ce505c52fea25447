// What the modes of `trunkline bench` need of a server, on the published Node.js server. Whoever connects makes it send binary to all:
// a load must bear what applications do besides.
import http from "node:http";
import { parseArgs } from "node:util";
import { Server } from "socket.io";

const { values: flags } = parseArgs({ options: { port: { type: "string", default: "0" } } });
const web = http.createServer();
const io = new Server(web);
io.on("connection", (socket) => {
  io.emit("picture", Buffer.from([0, 255]));
  socket.on("echo", (text) => socket.emit("echo", text));
  socket.on("ack", (text, callback) => callback(text));
  socket.on("pub", (text) => io.emit("msg", text));
  socket.on("join", (room, callback) => {
    socket.join(room);
    callback();
  });
  socket.on("publish", (room, event, text, callback) => {
    socket.to(room).emit(event, text);
    callback();
  });
});
web.listen(Number(flags.port), "127.0.0.1", () => console.log(`listening ${web.address().port}`));
