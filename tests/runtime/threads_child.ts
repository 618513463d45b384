/** A process that hosts, for `runtime_threads_test.ts`; it must end by itself. */

import process from "node:process";
import { hostThreads, joinHost } from "../../lib/runtime/threads.ts";

const what = process.argv[2];
const host = await hostThreads("child", { slots: 3, reserved: 1 });
if (what === "host") {
  console.log("hosting");
} else {
  const joined = await joinHost(host.token, () => {});
  if (what === "closed") {
    joined.leave();
    host.close();
    console.log("closed");
  } else {
    console.log("joined");
  }
}
