/**
 * Protects the isolation of transactions, anomaly by anomaly: each is what an interleaving of transactions
 * that are open at once would come to, if nothing prevented it. The same script is played with a store that
 * does not prevent it (tests/support/history/weak_store.ts), and the anomaly must be found in that history.
 */

import { openInMemory, text, u32 } from "../mod.ts";
import { assert, assertEquals } from "./support/assert.ts";
import { assertSerializable, check } from "./support/history/check.ts";
import { AT, BACKWARDS, COUNT, FORWARDS, LAST, MANY, PAGES } from "./support/history/objects.ts";
import {
  add,
  append,
  DatabaseStore,
  get,
  insert,
  members,
  play,
  put,
  read,
  remove,
  scan,
  type Script,
} from "./support/history/script.ts";
import { type Level, WeakStore } from "./support/history/weak_store.ts";
import { test } from "./support/test.ts";

const FAMILIES = 2;

interface Case extends Script {
  readonly name: string;
  /** What shows the anomaly, and as what. */
  readonly weak: Level;
  readonly found: string;
  /** Those whose function must run once only. */
  readonly once?: string;
}

const WAYS: readonly [name: string, way: number][] = [
  ["count", COUNT],
  ["last", LAST],
  ["absent keys", MANY],
  ["a scan", FORWARDS],
  ["a scan backwards", BACKWARDS],
  ["offset and limit", PAGES],
  ["at", AT],
];

const CASES: readonly Case[] = [
  {
    name: "dirty write: two writers of two entries leave them in one order",
    actors: { a: { steps: [append("x"), append("y")] }, b: { steps: [append("y"), append("x")] } },
    order: "abbaAB",
    weak: "dirty",
    found: "dirty write",
  },
  {
    name: "dirty write: two blind writers leave both entries of one of them",
    actors: {
      a: { steps: [put("x"), put("y")] },
      b: { steps: [put("x"), put("y")] },
      r: { steps: [get("x"), get("y")] },
    },
    order: "abbaABrrR",
    weak: "dirty",
    found: "dirty write",
    once: "abr",
  },
  {
    name: "dirty read: nothing is seen of a transaction that goes on",
    actors: { a: { steps: [put("x"), put("y")] }, b: { steps: [get("x"), get("y")] } },
    order: "abbBaA",
    weak: "dirty",
    found: "read skew",
    once: "ab",
  },
  {
    name: "aborted read: nothing is seen of a transaction that throws",
    actors: {
      a: { steps: [append("x"), put("y")], aborts: true },
      b: { steps: [read("x"), get("y")] },
    },
    order: "aabbBA",
    weak: "dirty",
    found: "aborted read",
    once: "ab",
  },
  {
    name: "intermediate read: nothing is seen of a write that is overwritten",
    actors: {
      a: { steps: [put("x"), put("x")] },
      b: { steps: [get("x")] },
      s: { steps: [get("x")], looks: true },
    },
    order: "absaABS",
    weak: "dirty",
    found: "intermediate read",
    once: "ab",
  },
  {
    name: "circular information flow: of two transactions one does not see the other",
    actors: { a: { steps: [put("x"), get("y")] }, b: { steps: [put("y"), get("x")] } },
    order: "ababAB",
    weak: "dirty",
    found: "circular information flow",
  },
  {
    name: "lost update: of two that read and then write, one reads what the other wrote",
    actors: { a: { steps: [append("x")] }, b: { steps: [append("x")] } },
    order: "abAB",
    weak: "snapshot",
    found: "lost update",
    once: "a",
  },
  {
    name: "lost update: of a register",
    actors: {
      i: { steps: [put("x")] },
      a: { steps: [get("x"), put("x")] },
      b: { steps: [get("x"), put("x")] },
    },
    order: "iIabbaBA",
    weak: "snapshot",
    found: "lost update",
    once: "ib",
  },
  {
    name: "lost update: of an entry that is absent",
    actors: {
      a: { steps: [get("x"), put("x")] },
      b: { steps: [get("x"), put("x")] },
    },
    order: "abbaBA",
    weak: "snapshot",
    found: "lost update",
    once: "b",
  },
  {
    name: "read skew: a reader sees one moment, and never has to read again",
    actors: {
      r: { steps: [read("x"), read("y")] },
      w: { steps: [append("x"), append("y")] },
    },
    order: "rwwWrR",
    weak: "committed",
    found: "read skew",
    once: "rw",
  },
  {
    name: "read skew: of two families, in a transaction",
    actors: {
      r: { steps: [read("x"), read("y", 1)], families: [0, 1] },
      w: { steps: [append("x"), append("y", 1)], families: [1, 0] },
    },
    order: "rwwWrR",
    weak: "committed",
    found: "read skew",
    once: "rw",
  },
  {
    name: "read skew: of two families, in a snapshot",
    actors: {
      r: { steps: [read("x"), read("y", 1)], families: [0, 1], looks: true },
      w: { steps: [append("x"), append("y", 1)], families: [0, 1] },
    },
    order: "rwwWrR",
    weak: "committed",
    found: "read skew",
    once: "rw",
  },
  {
    name: "read skew: a writer that has read what is old by now reads it again",
    actors: {
      a: { steps: [read("x"), read("y"), put("z")] },
      w: { steps: [append("x"), append("y"), get("z")] },
    },
    order: "awwWaaA",
    weak: "committed",
    found: "read skew",
    once: "w",
  },
  {
    name: "write skew: of two that read both entries, one sees what the other wrote",
    actors: {
      a: { steps: [read("x"), read("y"), append("x")] },
      b: { steps: [read("x"), read("y"), append("y")] },
    },
    order: "aabbabAB",
    weak: "snapshot",
    found: "write skew",
    once: "a",
  },
  {
    name: "write skew: of two families",
    actors: {
      a: { steps: [read("y", 1), append("x")], families: [0, 1] },
      b: { steps: [read("x"), append("y", 1)], families: [0, 1] },
    },
    order: "ababAB",
    weak: "snapshot",
    found: "write skew",
    once: "a",
  },
  {
    name: "predicate write skew: of two that scan and insert, one sees the other's entry",
    actors: {
      a: { steps: [members("x"), add("x")] },
      b: { steps: [members("x"), add("x")] },
    },
    order: "ababAB",
    weak: "snapshot",
    found: "predicate write skew",
    once: "a",
  },
  {
    name: "predicate write skew: of two that leave an entry for the other, one finds none",
    actors: {
      i: { steps: [add("x"), add("x")] },
      a: { steps: [members("x"), remove("x")] },
      b: { steps: [members("x"), remove("x")] },
    },
    order: "iiIababAB",
    weak: "snapshot",
    found: "predicate write skew",
    once: "ia",
  },
  {
    name: "predicate write skew: of two ranges",
    actors: {
      a: { steps: [members("x"), add("y")] },
      b: { steps: [members("y"), add("x")] },
    },
    order: "ababAB",
    weak: "snapshot",
    found: "predicate write skew",
    once: "a",
  },
  {
    name: "phantom: a scan does not see what is inserted behind it",
    actors: {
      r: { steps: [members("x"), read("total")] },
      w: { steps: [add("x"), append("total")] },
    },
    order: "rwwWrR",
    weak: "committed",
    found: "phantom",
    once: "rw",
  },
  ...WAYS.map(([name, way]): Case => ({
    name: `phantom: not by ${name} either`,
    actors: {
      r: { steps: [scan("row", way), read("total")] },
      w: { steps: [insert("row", way), append("total")] },
    },
    order: "rwwWrR",
    weak: "committed",
    found: way === MANY ? "read skew" : "phantom",
    once: "rw",
  })),
  ...WAYS.map(([name, way]): Case => ({
    name: `phantom: of two that insert behind what they found by ${name}, one sees the other's`,
    actors: { a: { steps: [insert("row", way)] }, b: { steps: [insert("row", way)] } },
    order: "abAB",
    weak: "snapshot",
    found: "lost update",
    once: "a",
  })),
  ...[false, true].map((looks): Case => ({
    name: `long fork: two readers of two families see one order, in ${
      looks ? "snapshots" : "transactions"
    }`,
    actors: {
      p: { steps: [get("y", 1), get("x")], families: [0, 1], looks },
      q: { steps: [get("x"), get("y", 1)], families: [1, 0], looks },
      v: { steps: [put("x")], families: [0] },
      w: { steps: [put("y", 1)], families: [1] },
    },
    order: "pqvVwWpqPQ",
    weak: "committed",
    found: "long fork",
    once: "pqvw",
  })),
];

for (const { name, weak, found, once = "", ...script } of CASES) {
  test(`isolation: ${name}`, async () => {
    await using db = await openInMemory();
    const { history, attempts } = await play(await DatabaseStore.of(db, FAMILIES), script);
    assertSerializable(history);
    for (const actor of once) assertEquals(attempts[actor], 1, `attempts of ${actor}`);

    // The script would show the anomaly.
    const names = check((await play(new WeakStore(weak), script)).history).anomalies
      .map(({ name }) => name);
    assert(names.includes(found), `a weak store shows ${names}, not ${found}`);
  });
}

/** Ways to find out whether a table has fewer than ten entries. */
const FEWER_THAN_TEN = {
  count: (table) => table.count() < 10,
  "count of a prefix": (table) => table.count({ prefix: "k" }) < 10,
  at: (table) => table.at(9) === undefined,
  "a scan": (table) => table.keys().toArray().length < 10,
  "a scan with an offset": (table) => table.first({ offset: 9 }) === undefined,
  "a scan backwards": (table) => table.keys({ reverse: true, limit: 10 }).toArray().length < 10,
} satisfies Record<string, (table: Counted) => boolean>;

interface Counted {
  count(range?: { prefix: string }): number;
  at(index: number): unknown;
  keys(range?: { reverse: true; limit: number }): { toArray(): string[] };
  first(range: { offset: number }): unknown;
}

for (const [way, isFewer] of Object.entries(FEWER_THAN_TEN)) {
  test(`isolation: who inserts if there are fewer than ten, by ${way}, never makes eleven`, async () => {
    await using db = await openInMemory();
    const family = await db.columnFamily("family");
    const table = family.table("ten", { key: text, value: u32 });
    let inserted = 0;
    const call = async (caller: number): Promise<void> => {
      for (let i = 0; i < 8; i++) {
        const did = await family.transaction(async (tx) => {
          const t = tx.table(table);
          if (!isFewer(t)) return false;
          await Promise.resolve();
          t.set(`k${(caller * 7 + i * 3) % 40}/${caller}.${i}`, i);
          return true;
        });
        if (did) inserted++;
      }
    };
    await Promise.all(Array.from({ length: 4 }, (_, caller) => call(caller)));
    assertEquals(table.count(), 10);
    assertEquals(inserted, 10);
  });
}
