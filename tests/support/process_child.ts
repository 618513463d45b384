/**
 * The child of `process_test.ts` and `durability_test.ts`. Arguments: what to do, the path, and
 * sometimes how often. It opens the database, does that, and mostly does not close it.
 */

import process from "node:process";
import { bytes, type Database, ManifoldError, open, text, u32 } from "../../mod.ts";

const [what, path, count] = process.argv.slice(2);

async function tableOf(db: Database) {
  return (await db.columnFamily("f")).table("t", { key: u32, value: text });
}

/** A database that nobody refers to any more once this has returned. */
async function writeAndForget(): Promise<void> {
  const table = await tableOf(await open(path));
  await table.set(1, "one");
}

/** Writes as many as it can, and says from time to time up to which all are acknowledged. */
async function writeForever(): Promise<never> {
  const table = await tableOf(await open(path));
  const first = (table.last()?.[0] ?? 0) + 1;
  const writes: Promise<void>[] = [];
  for (let n = first;; n++) {
    writes.push(table.set(n, `${n}`));
    if (writes.length < 32) continue;
    await writes.shift();
    if (n % 50 === 0) console.log(n - 31);
    if (what === "exit-in-writes" && n - first > 500) process.exit(3);
  }
}

switch (what) {
  case "hold": {
    // Opens, says so, and goes on when it is told.
    try {
      const db = await open(path);
      await (await tableOf(db)).set(1, "one");
      console.log("open");
      for await (const _ of process.stdin) break;
      await db.close();
      console.log("closed");
      process.exit(0);
    } catch (error) {
      console.log(error instanceof ManifoldError ? error.code : String(error));
    }
    break;
  }
  case "no-close": {
    const table = await tableOf(await open(path));
    await table.set(1, "one");
    await table.setMany([[2, "two"], [3, "three"]]);
    console.log("done");
    break;
  }
  case "snapshot": {
    const db = await open(path);
    const family = await db.columnFamily("f");
    const table = family.table("t", { key: u32, value: text });
    await table.setMany([[1, "one"], [2, "two"]]);
    const snapshot = family.snapshot();
    const iterator = table.entries();
    iterator.next();
    console.log(snapshot.table(table).get(1));
    break;
  }
  case "forgotten":
    await writeAndForget();
    // What is left of it may be collected now.
    (globalThis as { Bun?: { gc(force: boolean): void } }).Bun?.gc(true);
    console.log("done");
    break;
  case "watching": {
    // Iterations whose next event nobody awaits, and one that was awaited.
    const db = await open(path);
    const family = await db.createColumnFamily("f", { changes: { keepBytes: 1000 } });
    const table = family.table("t", { key: u32, value: text });
    const unread = [table.watch(), family.changes()];
    const events = table.watch();
    await table.set(1, "one");
    await events.next();
    console.log(unread.length);
    break;
  }
  case "watched": {
    // Nothing but the awaited event keeps it: the timer does not.
    const db = await open(path);
    const table = await tableOf(db);
    await table.set(1, "one");
    const event = table.watch().next();
    setTimeout(() => table.set(2, "two"), 300).unref();
    console.log((await event).value.value);
    break;
  }
  case "idle":
    await open(path);
    console.log("done");
    break;
  case "read-only":
    (await open(path, { readOnly: true })).columnFamilies();
    console.log("done");
    break;
  case "pending": {
    // Nobody waits for the write; the process stays until it is settled.
    const table = await tableOf(await open(path));
    table.set(1, "one").then(() => console.log("settled"));
    break;
  }
  case "transaction": {
    const db = await open(path);
    const family = await db.columnFamily("f");
    const table = family.table("t", { key: u32, value: text });
    family.transaction((tx) => tx.table(table).set(1, "one")).then(() => console.log("settled"));
    break;
  }
  case "exit-in-writes":
  case "writes":
    await writeForever();
    break;
  case "write-slowly": {
    // One at a time, each said by a line on stderr, in one system call.
    const family = await (await open(path)).columnFamily("f");
    const table = family.table("b", { key: u32, value: bytes });
    await table.set(0, new Uint8Array(100));
    const { writeSync } = await import("node:fs");
    writeSync(2, "marker begin\n");
    for (let n = 1; n <= Number(count); n++) {
      await table.set(n, new Uint8Array(100));
      writeSync(2, `marker ${n}\n`);
    }
    process.exit(0);
  }
  /* falls through */
  case "write-eventually": {
    const db = await open(path);
    const family = await db.columnFamily("f");
    const table = family.table("b", { key: u32, value: bytes });
    await table.set(0, new Uint8Array(100));
    const { writeSync } = await import("node:fs");
    writeSync(2, "marker begin\n");
    for (let n = 1; n <= Number(count); n++) {
      await table.set(n, new Uint8Array(100), { durability: "eventual" });
      writeSync(2, `marker ${n}\n`);
    }
    process.exit(0);
  }
  /* falls through */
  default:
    throw new Error(`what is ${what}?`);
}
