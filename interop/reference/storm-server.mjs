// What storm.mjs and `trunkline verify` need of a server, on the published Node.js server with its recovery on.
import http from "node:http";
import { Server } from "socket.io";

const web = http.createServer();
const io = new Server(web, { connectionStateRecovery: { maxDisconnectionDuration: 120_000 } });
io.on("connection", (socket) => {
  socket.on("join", (room, ack) => {
    socket.join(room);
    ack({});
  });
  socket.on("publish", (room, event, data, ack) => {
    socket.to(room).emit(event, data);
    ack({});
  });
});
web.listen(Number(process.argv[2]), "127.0.0.1");
