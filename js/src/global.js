// For pages without modules: sets the global `io`.
import { io } from "./index.js";

/** @type {any} */ (globalThis).io = io;
