/**
 * The child of `package_test.ts`: uses the package from wherever it is served. Arguments: the URL of
 * its `mod`, what to do, and the path. `write` writes, from an attached thread too, makes a
 * checkpoint, writes on, and ends without closing; `recover` opens after that, checks, and closes.
 */

import process from "node:process";
import { Worker } from "node:worker_threads";

const [mod, what, path] = process.argv.slice(2);
const { open, text, u32 } = await import(mod) as typeof import("../../mod.ts");

const db = await open(path);
const family = await db.columnFamily("f");
const table = family.table("t", { key: text, value: u32 });

if (what === "write") {
  await table.set("first", 1);
  await db.checkpoint();
  const worker = new Worker(new URL("./workers/package_worker.ts", import.meta.url), {
    workerData: { mod, handle: db.share() },
  });
  const said = await new Promise((resolve, reject) => {
    worker.on("message", resolve);
    worker.on("error", reject);
  });
  await family.transaction((tx) => {
    tx.table(table).set("last", 3);
  });
  console.log(JSON.stringify([said, ...table.entries()]));
  process.exit(0);
}
console.log(JSON.stringify([...table.entries()]));
await db.close();
