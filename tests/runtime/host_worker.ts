/** Hosts in a worker, for `runtime_threads_test.ts`. */

import { hostThreads } from "../../lib/runtime/threads.ts";
import { firstMessage, post } from "./messages.ts";

const id = await firstMessage() as string;
const host = await hostThreads(id, { slots: 4, reserved: 1 });
post(host.token);

const words = new Int32Array(host.token.words);
/** The first word of slot 1. */
const SLOT_WORD = 6;
setInterval(() => {
  if (Atomics.load(words, SLOT_WORD) === 0) return;
  post("has a member");
}, 5);
