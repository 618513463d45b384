/** Joins a host and ends as it is told, for `runtime_threads_test.ts`. */

import process from "node:process";
import { type HostToken, joinHost } from "../../lib/runtime/threads.ts";
import { close, firstMessage, post } from "./messages.ts";

const { token, end, progress } = await firstMessage() as {
  token: HostToken;
  end: string;
  progress: Int32Array;
};
const joined = await joinHost(token, (how) => post(how));
post(joined.slot);

if (end !== "finishing") setInterval(() => {}, 1_000);
// The message that the test waits for has to be on its way first.
setTimeout(() => {
  switch (end) {
    case "waiting":
      for (;;) {
        Atomics.add(progress, 0, 1);
        Atomics.wait(progress, 0, Atomics.load(progress, 0), 1);
      }
    /* falls through */
    case "spinning":
      for (;;) Atomics.add(progress, 0, 1);
    /* falls through */
    case "exiting":
      process.exit(0);
    /* falls through */
    case "closing":
      close();
      break;
    case "crashing":
      throw new Error("this worker crashes on purpose");
    case "leaving":
      joined.leave();
      post("left");
      break;
  }
}, 10);
