/**
 * Values of one size in a process of its own, whose memory is looked at: `values_process.ts ENGINE DIR NAME
 * BYTES COUNT`. Prints a line of JSON, a `SuiteResult`, per row.
 *
 * @module
 */

import process from "node:process";
import { expectCount, secondsOf, STRIDE } from "../../support/context.ts";
import { KeySource } from "../../support/keys.ts";
import type { SuiteResult } from "../suite.ts";
import { openStore } from "./stores/mod.ts";
import type { Store } from "./stores/store.ts";

const BATCH_BYTES = 2 ** 20;
const MEGABYTE = 1e6;
const FILL = 7;

function tell(row: string, value: number): void {
  console.log(JSON.stringify({ row, value } satisfies SuiteResult));
}

/** Writes the values, each of which begins with its number; megabytes per second. */
async function write(store: Store, keys: readonly Uint8Array[], bytes: number): Promise<number> {
  const batch = Array.from(
    { length: Math.max(1, Math.floor(BATCH_BYTES / bytes)) },
    () => new Uint8Array(bytes).fill(FILL),
  );
  const views = batch.map(({ buffer }) => new DataView(buffer));
  // Once before, which does not count: code is being compiled, and logs are begun.
  await store.commit(keys.slice(0, batch.length).map((key, i) => [key, batch[i]] as const));
  let seconds = 0;
  for (let at = 0; at < keys.length; at += batch.length) {
    const entries = keys.slice(at, at + batch.length).map((key, i) => {
      views[i].setUint32(0, at + i);
      return [key, batch[i]] as const;
    });
    seconds += await secondsOf(() => store.commit(entries));
  }
  return keys.length * bytes / MEGABYTE / seconds;
}

/** Reads them in another order, and sees that each is the right one and whole. */
function read(store: Store, keys: readonly Uint8Array[], bytes: number): void {
  const count = keys.length;
  for (let i = 0; i < count; i++) {
    const at = i * STRIDE % count;
    const value = store.get(keys[at])!;
    const number = new DataView(value.buffer, value.byteOffset).getUint32(0);
    expectCount("length of a value", value.length, bytes);
    expectCount("number of a value", number, at);
    expectCount("end of a value", value[bytes - 1], FILL);
  }
}

if (import.meta.main) {
  const [engine, dir, name, ...numbers] = process.argv.slice(2);
  const [bytes, count] = numbers.map(Number);
  const keys = new KeySource().many(count);
  const store = await openStore(engine, dir);
  tell(`write_${name}`, await write(store, keys, bytes));
  const seconds = await secondsOf(() => read(store, keys, bytes));
  tell(`read_${name}`, count * bytes / MEGABYTE / seconds);
  tell(`memory_${name}`, process.memoryUsage().rss);
  await store.close();
  // Some engines keep the process alive for a while.
  process.exit(0);
}
