// What every ordinary namespace of the contract does with a socket, and what `/refuse` does.

/** Answers the events of the contract's table on one socket. */
export function commonHandlers(io, socket, gone) {
  const namespace = socket.nsp;
  const { auth, query, headers } = socket.handshake;
  socket.emit("auth", auth, query.token ?? null);
  socket.on("disconnect", (reason) => gone(socket.id, namespace.name, reason));

  socket.on("echo", (...args) => socket.emit("echo", ...args));
  socket.on("echo-ack", (...args) => args.pop()(...args));
  socket.on("never", () => {});
  socket.on("where", (ack) => ack(namespace.name, socket.id));
  socket.on("cookie", (ack) => ack(headers.cookie ?? null));
  socket.on("kick", () => socket.disconnect(false));

  socket.on("ask-me", (value, ms) => {
    socket.timeout(ms).emit("question", value, (error, answer) => {
      socket.emit("answer", error ? "timeout" : "ok", error ? null : answer);
    });
  });
  socket.on("ask-room", (room, value, ms) => {
    namespace
      .to(room)
      .timeout(ms)
      .emit("question", value, (error, answers) => {
        socket.emit("answers", error ? "timeout" : "ok", answers);
      });
  });

  socket.on("join", async (room, ack) => {
    await socket.join(room);
    ack(roomsOf(socket));
  });
  socket.on("leave", async (room, ack) => {
    await socket.leave(room);
    ack(roomsOf(socket));
  });
  socket.on("say", (mode, rooms, except, value, ack) => {
    const target = mode === "within" ? namespace : socket;
    let selection = rooms.reduce((chosen, room) => chosen.to(room), target);
    if (except.length > 0) selection = selection.except(except);
    selection.emit("said", value);
    ack();
  });

  let next = 0;
  let ordered = true;
  socket.on("count", (n) => {
    ordered &&= n === next;
    next += 1;
  });
  socket.on("counted", (ack) => ack(next, ordered));
  socket.on("flood", (from, to) => {
    for (let n = from; n < to; n += 1) socket.emit("n", n);
  });
}

/** The middleware of `/refuse`: nobody gets in, and everybody is told why. */
export function refuse(_socket, next) {
  const error = new Error("refused");
  error.data = { code: 42, why: ["no", { deep: true }] };
  next(error);
}

const roomsOf = (socket) => [...socket.rooms].filter((room) => room !== socket.id).sort();
