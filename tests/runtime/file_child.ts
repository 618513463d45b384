/** Does to a file what its arguments say, for `runtime_file_test.ts` and `process_test.ts`. */

import process from "node:process";
import { ManifoldError } from "../../lib/errors.ts";
import { runtime } from "../../lib/runtime/runtime.ts";
import { spawnWorker } from "../../lib/runtime/workers.ts";
import { keepAlive } from "../../lib/runtime/keep_alive.ts";
import { asyncContext } from "../../lib/runtime/async_context.ts";
import { hostThreads, joinHost } from "../../lib/runtime/threads.ts";

const [what, path, how] = process.argv.slice(2);

if (what === "use") {
  const file = runtime.openFile(path, { write: true, create: true, noFollow: true });
  file.write(0, new Uint8Array([1]));
  file.read(0, new Uint8Array(1));
  file.lock(true);
  file.sync();
  file.size();
  file.truncate(0);
  file.close();
  runtime.rename(path, path + "2");
  runtime.remove(path + "2");
  runtime.syncDirectory(path.slice(0, path.lastIndexOf("/")));
  if (runtime.hardwareConcurrency < 1) throw new Error("no processor");
  keepAlive()();
  asyncContext<number>().run(1, () => {});
  const host = await hostThreads("a", { slots: 2, reserved: 1 });
  const joined = await joinHost(host.token, () => {});
  joined.leave();
  host.close();
  spawnWorker(new URL("data:text/javascript,"), 1).unref();
  console.log("used");
} else if (what === "code") {
  try {
    runtime.openFile(path, { write: true, create: true });
    console.log("opened");
  } catch (error) {
    if (!(error instanceof ManifoldError)) throw error;
    console.log(error.code);
    console.log(error.message);
  }
} else if (what === "lock") {
  const file = runtime.openFile(path, { write: true, create: false });
  console.log(file.lock(how === "exclusive"));
  process.stdin.on("data", () => console.log(file.lock(how === "exclusive")));
}
