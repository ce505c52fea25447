// All scenarios, by the kind of client that can run them.
import { ackScenarios } from "./acks.mjs";
import { connectScenarios } from "./connect.mjs";
import { engineScenarios } from "./engine.mjs";
import { eventScenarios } from "./events.mjs";
import { heartbeatScenarios } from "./heartbeat.mjs";
import { onceScenarios } from "./once.mjs";
import { recoveryScenarios } from "./recovery.mjs";
import { roomScenarios } from "./rooms.mjs";

export const SCENARIOS = {
  "socket.io": [
    ...connectScenarios,
    ...eventScenarios,
    ...ackScenarios,
    ...roomScenarios,
    ...recoveryScenarios,
    ...onceScenarios,
    ...heartbeatScenarios,
  ],
  "engine.io": engineScenarios,
};
