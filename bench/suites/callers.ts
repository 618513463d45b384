/**
 * Many callers in one thread, each awaiting one put after the other: what committing them together
 * gives, and what each of them waits for it.
 *
 * @module
 */

import { join } from "node:path";
import { bytes } from "../../mod.ts";
import { callAll, callersMs, expectCount, LOAD_ENTRIES, SMALL_BYTES } from "../support/context.ts";
import { KeySource } from "../support/keys.ts";
import { Latencies, latencyRows } from "../support/latencies.ts";
import { openDatabase } from "../support/manifold.ts";
import type { Suite, SuiteContext, SuiteResult, SuiteRow } from "./suite.ts";

const COUNTS = [1, 4, 16, 64, 256, 1024];
const EVENTUAL_COUNT = 256;
/** Callers go on before for a part of the time, which does not count: while their code is being compiled. */
const WARMING = 3;

type Durability = "immediate" | "eventual";

interface Phase {
  readonly name: string;
  readonly count: number;
  readonly durability: Durability;
}

const phases: readonly Phase[] = [
  ...COUNTS.map((count): Phase => ({ name: `callers_${count}`, count, durability: "immediate" })),
  { name: `eventual_${EVENTUAL_COUNT}`, count: EVENTUAL_COUNT, durability: "eventual" },
];

function rowsOf({ name, count, durability }: Phase): SuiteRow[] {
  const who = count === 1 ? "one caller" : `${count} callers`;
  const how = durability === "immediate" ? "durable puts" : "puts that do not wait for the disk";
  return [
    { name, unit: "puts/s", better: "more", about: `${how} of ${who} in one thread` },
    ...latencyRows(name, "them"),
    { name: `${name}_group`, unit: "puts", better: "more", about: "committed together, mean" },
  ];
}

/** Commits, and the groups in which they were made. */
interface Groups {
  readonly commits: number;
  readonly groups: number;
}

interface Subject {
  load(keys: readonly Uint8Array[], value: Uint8Array): Promise<void>;
  put(key: Uint8Array, value: Uint8Array): Promise<unknown>;
  count(): number;
  /** So far; left out where the engine does not tell. */
  groups?(): Groups;
  /** From now on puts do not wait for the disk: the one to go on with, in place of this one. */
  eventual(): Promise<Subject>;
  close(): Promise<void>;
}

async function openManifold(dir: string): Promise<Subject> {
  const db = await openDatabase(dir);
  const table = (await db.columnFamily("bench")).table("entries", { key: bytes, value: bytes });
  const subject: Subject = {
    load: (keys, value) => table.setMany(keys.map((key) => [key, value] as const)),
    put: (key, value) => table.set(key, value),
    count: () => table.count(),
    groups() {
      const { commits, groupSizes } = db.stats();
      return { commits, groups: groupSizes.reduce((sum, { groups }) => sum + groups, 0) };
    },
    eventual() {
      // Not opened anew: the code of new workers would have to be compiled again.
      db.configure({ durability: "eventual" });
      return Promise.resolve(subject);
    },
    close: () => db.close(),
  };
  return subject;
}

async function openLmdb(dir: string, durability: Durability = "immediate"): Promise<Subject> {
  const { open } = await import("lmdb");
  const db = open<Uint8Array, Uint8Array>({
    path: join(dir, "callers.lmdb"),
    keyEncoding: "binary",
    encoding: "binary",
    mapSize: 8 * 2 ** 30,
    // With it a put resolves before the disk has it, as one of Manifold that is eventual.
    overlappingSync: durability === "eventual",
  });
  return {
    load(keys, value) {
      db.transactionSync(() => {
        for (const key of keys) db.put(key, value);
      });
      return Promise.resolve();
    },
    put: (key, value) => db.put(key, value),
    count: () => db.getCount(),
    async eventual() {
      await db.close();
      return openLmdb(dir, "eventual");
    },
    close: () => db.close(),
  };
}

/** One put after the other by so many callers at once. */
async function* runPhase(
  { name, count }: Phase,
  { scale }: SuiteContext,
  subject: Subject,
  keys: KeySource,
): AsyncGenerator<SuiteResult, number> {
  const value = new Uint8Array(SMALL_BYTES).fill(7);
  const ms = callersMs(scale);
  const goOn = async (ms: number) => {
    const latencies = new Latencies();
    const seconds = await callAll(count, ms, async (end) => {
      for (let begun = performance.now(); begun < end;) {
        await subject.put(keys.next(), value);
        const now = performance.now();
        latencies.add(now - begun);
        begun = now;
      }
    });
    return { latencies, seconds };
  };
  const before = await goOn(ms / WARMING);
  const earlier = subject.groups?.();
  const { latencies, seconds } = await goOn(ms);
  yield { row: name, value: latencies.count / seconds };
  yield* latencies.results(name);
  const later = subject.groups?.();
  if (earlier !== undefined && later !== undefined) {
    expectCount(`${name}, commits`, later.commits - earlier.commits, latencies.count);
    yield {
      row: `${name}_group`,
      value: latencies.count / (later.groups - earlier.groups),
    };
  }
  return before.latencies.count + latencies.count;
}

export const callers: Suite = {
  name: "callers",
  about: "Concurrent single puts: rate, latency and size of the groups by the number of callers.",
  engines: ["manifold", "lmdb"],
  rows: phases.flatMap(rowsOf),
  async *run(context) {
    const openSubject = context.engine === "manifold" ? openManifold : openLmdb;
    const keys = new KeySource();
    let entries = context.share(LOAD_ENTRIES);
    let subject = await openSubject(context.dir);
    await subject.load(keys.many(entries), new Uint8Array(SMALL_BYTES).fill(7));
    for (const phase of phases) {
      if (phase.durability === "eventual") subject = await subject.eventual();
      entries += yield* runPhase(phase, context, subject, keys);
      expectCount(phase.name, subject.count(), entries);
    }
    await subject.close();
  },
};
