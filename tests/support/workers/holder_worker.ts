/** A thread of `holders_test.ts`: takes hold of something and keeps it until it is terminated. */

import { workerData } from "node:worker_threads";
import { attach, type DatabaseHandle, text } from "../../../mod.ts";
import { type SharedMemory, ThreadMemory } from "../../../lib/engine/thread_memory.ts";
import { SpinLock } from "../../../lib/memory/spin_lock.ts";
import { runtime } from "../../../lib/runtime/runtime.ts";
import { type HostToken, joinHost } from "../../../lib/runtime/threads.ts";
import { Checksum } from "../../../lib/storage/checksum.ts";

export interface HolderData {
  readonly handle: DatabaseHandle;
  /** A lock of the control block, by its word; or what else to hold. */
  readonly hold: number | "read" | "parts" | "turn" | "snapshot";
  /** Word 0 becomes 1 when it is held. */
  readonly progress: Int32Array;
}

const { handle, hold, progress } = workerData as HolderData;

function keep(): never {
  Atomics.store(progress, 0, 1);
  for (;;) Atomics.wait(progress, 0, 1, 1000);
}

if (typeof hold === "number") {
  const { shared, token } = handle.parts as { shared: SharedMemory; token: HostToken };
  const { slot } = await joinHost(token, () => {});
  const file = runtime.openFile(handle.path, { write: false, create: false });
  const memory = new ThreadMemory(shared, file, await Checksum.create(), slot);
  new SpinLock(memory.control.words, hold).acquire(memory.thread);
  keep();
}

const db = await attach(handle);
const family = await db.columnFamily("f");
const table = family.table("t", { key: text });
switch (hold) {
  case "read": // in the middle of an operation
    table.view("key", keep);
    break;
  case "parts": // of a transaction that is larger than the queue, and that nobody takes on
    table.set("never", new Uint8Array(40 * 2 ** 20)).catch(() => {});
    keep();
    break;
  case "turn": // inside the transaction
    await family.transaction((tx) => {
      tx.table(table).set("never", new Uint8Array(1));
      keep();
    });
    break;
  case "snapshot": {
    const snapshot = family.snapshot();
    const entries = table.entries();
    entries.next();
    if (snapshot.version < 0) throw new Error("no version");
    keep();
  }
}
