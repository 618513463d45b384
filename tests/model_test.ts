/**
 * The model test: random operations through the public API against plain sorted maps. It protects
 * everything at once: that reads give what was written, whatever the cache had to evict, the log had to
 * wrap around, and the checkpoints did meanwhile.
 *
 * `MANIFOLD_SEED=n` runs that seed alone; `MODEL_SEEDS` and `MODEL_STEPS` make it longer.
 */

import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import process from "node:process";
import {
  type ColumnFamily,
  type Database,
  open,
  type OpenOptions,
  type Range,
  type Snapshot,
  type Table,
  text,
  type Transaction,
  u32,
} from "../mod.ts";
import { assert, assertEquals, assertGreater, AssertionError } from "./support/assert.ts";
import { Random } from "./support/random.ts";
import { bytesOf, type ModelRange, ModelTable, randomValue } from "./support/sorted_model.ts";
import { withTempDir } from "./support/temp.ts";
import { test } from "./support/test.ts";

const SEEDS = Number(process.env.MODEL_SEEDS ?? 52);
/** Calls of the API for each seed. */
const CALLS = Number(process.env.MODEL_STEPS ?? 3900);

type Key = string | number;
type AnyTable = Table<Key, Uint8Array>;
type AnyModel = ModelTable<Key>;
type Reads = Pick<
  AnyTable,
  "get" | "has" | "getMany" | "first" | "last" | "at" | "count" | "entries" | "keys" | "values"
>;
type FamilyModel = Map<string, AnyModel>;

const FAMILIES = ["accounts", "größe/日本", "x"];
/** The name says what the keys are. */
const TABLES = ["text-0", "text-1", "text-long", "u32-0", "u32-1"];

/** A held view of the past, to be compared much later. */
interface Held {
  readonly until: number;
  check(): void;
}

class Run {
  readonly random: Random;
  calls = 0;
  evictions = 0;
  readonly #path: string;
  readonly #options: OpenOptions;
  readonly #model = new Map<string, FamilyModel>();
  readonly #families = new Map<string, ColumnFamily>();
  #held: Held[] = [];
  /** Writes under way, with the checks of their results. */
  #pending: Promise<unknown>[] = [];
  #db!: Database;

  constructor(seed: number, dir: string) {
    const random = this.random = new Random(seed);
    this.#path = join(dir, `model-${seed}.manifold`);
    this.#options = {
      pageSize: random.pick([4096, 4096, 8192]),
      cacheBytes: 2 ** 20,
      logBytes: 2 ** 18,
      checkpoint: random.chance(0.5)
        ? { bytes: random.pick([65536, 131072]), intervalMs: random.pick([10, 60_000]) }
        : undefined,
      maxWorkers: 1 + random.int(3),
      durability: random.chance(0.8) ? "eventual" : "immediate",
    };
  }

  async run(calls: number): Promise<void> {
    await this.#open();
    try {
      while (this.calls < calls) await this.#step();
      await this.#settle();
      await this.#reopen();
    } finally {
      await this.#close();
    }
  }

  async #open(): Promise<void> {
    this.#db = await open(this.#path, this.#options);
    this.#families.clear();
    assertEquals(this.#db.columnFamilies().sort(), [...this.#model.keys()].sort());
    for (const name of FAMILIES) await this.#ensureFamily(name);
  }

  async #close(): Promise<void> {
    this.evictions += this.#db.stats().cache.evictions;
    await this.#db.close();
  }

  async #ensureFamily(name: string): Promise<void> {
    const db = this.#db;
    const fresh = !this.#model.has(name);
    const family = fresh && this.random.chance(0.5)
      ? await db.createColumnFamily(name)
      : await db.columnFamily(name);
    this.#families.set(name, family);
    if (fresh) {
      assertEquals(family.tables(), []);
      this.#model.set(name, new Map());
    }
  }

  /** Some writes, not awaited one by one; then some reads. */
  async #step(): Promise<void> {
    const { random } = this;
    for (let n = 1 + random.int(12); n > 0; n--) this.#write();
    if (random.chance(0.3)) {
      // It reads what is published.
      await this.#settle();
      this.#pending.push(this.#transaction());
    } else if (random.chance(0.05)) this.#pending.push(this.#db.checkpoint());
    await this.#settle();
    if (random.chance(0.01)) await this.#deleteTable();
    if (random.chance(0.004)) await this.#remakeFamily();
    if (random.chance(0.15)) this.#hold();
    this.#release();
    for (let n = 1 + random.int(12); n > 0; n--) {
      const family = random.pick(FAMILIES);
      const name = random.pick(TABLES);
      this.#read(this.#table(family, name), this.#modelOf(family, name), name);
    }
    if (random.chance(0.004)) await this.#reopen();
  }

  async #settle(): Promise<void> {
    await Promise.all(this.#pending.splice(0));
  }

  #table(family: string, name: string): AnyTable {
    const options = name.startsWith("text") ? { key: text } : { key: u32 };
    return this.#families.get(family)!.table(name, options as { key: typeof text }) as AnyTable;
  }

  /** The table's model; the database's tables are made by the first write. */
  #modelOf(family: string, name: string): AnyModel {
    const tables = this.#model.get(family)!;
    let table = tables.get(name);
    if (table === undefined) tables.set(name, table = new ModelTable<Key>());
    return table;
  }

  #key(name: string): Key {
    const { random } = this;
    if (name === "u32-0") return random.int(600);
    if (name === "u32-1") return (random.int(300) * 14_316_557) >>> 0;
    const number = random.int(500).toString(36);
    const prefix = random.pick(["", "a", "ab", "user/", "user/profile/"]);
    return name === "text-long"
      ? prefix + number.padEnd(1 + random.int(900), "~")
      : prefix + number;
  }

  #valueLength(): number {
    const { random } = this;
    const p = random.next();
    if (p < 0.5) return random.int(120);
    if (p < 0.85) return random.int(1500);
    if (p < 0.99) return 1500 + random.int(6000);
    return 10_000 + random.int(p < 0.999 ? 40_000 : 290_000);
  }

  #range(name: string, forDeletion = false): ModelRange<Key> {
    const { random } = this;
    const range: ModelRange<Key> = {};
    if (random.chance(0.6)) range[random.chance(0.5) ? "gte" : "gt"] = this.#key(name);
    if (random.chance(forDeletion ? 0.9 : 0.6)) {
      range[random.chance(0.5) ? "lte" : "lt"] = this.#key(name);
    }
    if (name.startsWith("text") && random.chance(0.3)) {
      range.prefix = random.pick(["", "a", "ab", "user", "user/p", "zz"]);
    }
    if (forDeletion) return range;
    if (random.chance(0.5)) range.reverse = random.chance(0.7);
    if (random.chance(0.7)) range.limit = random.int(40);
    if (random.chance(0.3)) range.offset = random.int(100);
    return range;
  }

  #durability(): { durability?: "immediate" | "eventual" } | undefined {
    const p = this.random.next();
    return p < 0.9 ? undefined : { durability: p < 0.93 ? "immediate" : "eventual" };
  }

  #write(): void {
    const { random } = this;
    const family = random.pick(FAMILIES);
    const name = random.pick(TABLES);
    const table = this.#table(family, name);
    const model = this.#modelOf(family, name);
    const options = this.#durability();
    const p = random.next();
    this.calls++;
    if (p < 0.62) {
      const key = this.#key(name);
      const value = randomValue(random, this.#valueLength());
      model.set(key, value);
      this.#pending.push(table.set(key, bytesOf(value), options));
    } else if (p < 0.8) {
      const key = this.#key(name);
      const expected = model.delete(key);
      this.#expect(table.delete(key, options), expected, `delete ${key} in ${name} of ${family}`);
    } else if (p < 0.83) {
      const range = this.#range(name, true);
      const expected = model.deleteRange(range);
      const done = table.deleteRange(range as Range<Key>, options);
      this.#expect(done, expected, `deleteRange ${JSON.stringify(range)} in ${name} of ${family}`);
    } else if (p < 0.91) {
      const entries: [Key, Uint8Array][] = [];
      for (let n = random.int(30); n > 0; n--) {
        const key = this.#key(name);
        const value = randomValue(random, this.#valueLength());
        model.set(key, value);
        entries.push([key, bytesOf(value)]);
      }
      this.#pending.push(table.setMany(entries, options));
    } else {
      this.#pending.push(this.#batch(family));
    }
  }

  #expect<T>(promise: Promise<T>, expected: T, what: string): void {
    this.#pending.push(promise.then((actual) => assertEquals(actual, expected, what)));
  }

  #batch(family: string): Promise<void> {
    const { random } = this;
    const batch = this.#families.get(family)!.batch();
    let size = 0;
    for (let n = random.int(12); n > 0; n--, size++, this.calls++) {
      const name = random.pick(TABLES);
      const table = this.#table(family, name);
      const model = this.#modelOf(family, name);
      const p = random.next();
      if (p < 0.6) {
        const key = this.#key(name);
        const value = randomValue(random, this.#valueLength());
        model.set(key, value);
        batch.set(table, key, bytesOf(value));
      } else if (p < 0.95) {
        const key = this.#key(name);
        model.delete(key);
        batch.delete(table, key);
      } else {
        const range = this.#range(name, true);
        model.deleteRange(range);
        batch.deleteRange(table, range as Range<Key>);
      }
    }
    assertEquals(batch.size, size);
    return batch.commit(this.#durability());
  }

  /** Runs to its end before other writes are asked for. */
  async #transaction(): Promise<void> {
    const { random } = this;
    const family = random.pick(FAMILIES);
    const abort = random.chance(0.15);
    const before = new Map(
      TABLES.map((name) => [name, this.#model.get(family)!.get(name)?.clone()]),
    );
    try {
      await this.#families.get(family)!.transaction(async (tx) => {
        for (let n = 1 + random.int(15); n > 0; n--) {
          this.#transactionStep(tx, family);
          if (random.chance(0.05)) await Promise.resolve();
        }
        if (abort) tx.abort("the model says so");
      }, this.#durability());
      assert(!abort, "an aborted transaction resolves");
    } catch (error) {
      if (!abort || (error as { code?: string }).code !== "aborted") throw error;
      for (const [name, table] of before) {
        if (table === undefined) this.#model.get(family)!.delete(name);
        else this.#model.get(family)!.set(name, table);
      }
    }
  }

  #transactionStep(tx: Transaction, family: string): void {
    const { random } = this;
    const name = random.pick(TABLES);
    const table = tx.table(this.#table(family, name));
    const model = this.#modelOf(family, name);
    const p = random.next();
    this.calls++;
    if (p < 0.4) {
      const key = this.#key(name);
      const value = randomValue(random, this.#valueLength());
      model.set(key, value);
      table.set(key, bytesOf(value));
    } else if (p < 0.55) {
      const key = this.#key(name);
      assertEquals(table.delete(key), model.delete(key), `tx.delete ${key}`);
    } else if (p < 0.6) {
      const range = this.#range(name, true);
      assertEquals(
        table.deleteRange(range as Range<Key>),
        model.deleteRange(range),
        "tx.deleteRange",
      );
    } else {
      this.#read(table as Reads, model, name, "tx ");
    }
  }

  #read(table: Reads, model: AnyModel, name: string, where = ""): void {
    const { random } = this;
    this.calls++;
    const p = random.int(11);
    if (p < 2) {
      const key = this.#key(name);
      model.checkValue(table.get(key), key, `${where}get in ${name}`);
      return;
    }
    if (p === 2) {
      const key = this.#key(name);
      assertEquals(table.has(key), model.values.has(key), `${where}has ${key} in ${name}`);
      return;
    }
    if (p === 3) {
      const keys = Array.from({ length: random.int(12) }, () => this.#key(name));
      table.getMany(keys).forEach((value, i) =>
        model.checkValue(value, keys[i], `${where}getMany in ${name}`)
      );
      return;
    }
    if (p === 4) {
      const index = random.int(model.keys.length + 5);
      model.checkEntry(table.at(index), model.keys[index], `${where}at ${index} in ${name}`);
      return;
    }
    const range = this.#range(name);
    const keys = model.select(range);
    const given = range as Range<Key>;
    const what = `${where}${name} ${JSON.stringify(range)}`;
    if (p === 5) return assertEquals(table.count(given), keys.length, `count ${what}`);
    if (p === 6) return model.checkEntry(table.first(given), keys[0], `first ${what}`);
    if (p === 7) return model.checkEntry(table.last(given), keys.at(-1), `last ${what}`);
    if (p === 8) return assertEquals(table.keys(given).toArray(), keys, `keys ${what}`);
    if (p === 9) return this.#seek(table, model, range, what);
    model.checkEntries(table.entries(given).toArray(), keys, `entries ${what}`);
  }

  /** Jumps within a range, which has neither limit nor offset then. */
  #seek(table: Reads, model: AnyModel, given: ModelRange<Key>, what: string): void {
    const range = { ...given, limit: undefined, offset: undefined };
    const keys = model.select(range);
    using iterator = table.keys(range as Range<Key>);
    for (let jump = 0; jump < 3; jump++) {
      const to = this.#key(
        what.includes("u32-0") ? "u32-0" : what.includes("u32") ? "u32-1" : "text-0",
      );
      const expected = keys.find((key) => range.reverse ? key <= to : key >= to);
      const { value } = iterator.seek(to).next();
      assertEquals(value, expected, `seek ${to} in ${what}`);
      if (value === undefined) return; // it has ended
    }
  }

  /** Takes a snapshot or begins an iteration, to be compared many operations later. */
  #hold(): void {
    const { random } = this;
    if (this.#held.length >= 6) return;
    const family = random.pick(FAMILIES);
    const until = this.calls + random.int(600);
    if (random.chance(0.6)) {
      const snapshot = this.#families.get(family)!.snapshot();
      this.#held.push({ until, check: this.#heldSnapshot(snapshot, family) });
      return;
    }
    const name = random.pick(TABLES);
    const range = { reverse: random.chance(0.5) };
    const model = this.#modelOf(family, name).clone();
    const keys = model.select(range);
    const held = this.#table(family, name).entries(range);
    const first = random.int(5);
    const got: [Key, Uint8Array][] = [];
    for (let i = 0; i < first; i++) {
      const step = held.next();
      if (!step.done) got.push(step.value);
    }
    this.#held.push({
      until,
      check: () => {
        got.push(...held);
        model.checkEntries(got, keys, `a held iterator of ${name} in ${family}`);
      },
    });
  }

  #heldSnapshot(snapshot: Snapshot, family: string): () => void {
    const models = new Map(
      TABLES.map((name) => [name, this.#modelOf(family, name).clone()] as const),
    );
    const tables = new Map(TABLES.map((name) => [name, this.#table(family, name)] as const));
    return () => {
      using _ = snapshot;
      for (const [name, model] of models) {
        const table = snapshot.table(tables.get(name)!);
        model.checkEntries(table.entries().toArray(), model.keys, `a held snapshot of ${name}`);
        assertEquals(table.count(), model.keys.length);
        this.#read(table as Reads, model, name, "snapshot ");
      }
    };
  }

  #release(): void {
    const due = this.#held.filter(({ until }) => until <= this.calls);
    this.#held = this.#held.filter(({ until }) => until > this.calls);
    for (const held of due) held.check();
  }

  async #deleteTable(): Promise<void> {
    const { random } = this;
    const family = random.pick(FAMILIES);
    const name = random.pick(TABLES);
    if (this.#modelOf(family, name).keys.length === 0) return;
    this.calls++;
    this.#model.get(family)!.delete(name);
    const table = this.#table(family, name);
    await this.#families.get(family)!.deleteTable(name);
    assertEquals(table.count(), 0);
    assert(!this.#families.get(family)!.tables().includes(name));
  }

  async #remakeFamily(): Promise<void> {
    const name = this.random.pick(FAMILIES);
    this.calls++;
    await this.#db.deleteColumnFamily(name);
    this.#model.delete(name);
    assert(!this.#db.columnFamilies().includes(name));
    if (this.random.chance(0.3)) await this.#db.checkpoint();
    await this.#ensureFamily(name);
  }

  /** All is there in a new opening. */
  async #reopen(): Promise<void> {
    for (const held of this.#held.splice(0)) held.check();
    await this.#close();
    await this.#open();
    for (const [family, tables] of this.#model) {
      for (const [name, model] of tables) {
        const entries = this.#table(family, name).entries().toArray();
        model.checkEntries(entries, model.keys, `${name} of ${family} after a reopening`);
      }
    }
  }
}

test("model: random operations give what sorted maps give, with a tiny cache and a tiny log", {
  timeoutMs: 600_000,
}, async () => {
  const given = process.env.MANIFOLD_SEED;
  const first = given ? Number(given) : Math.floor(Math.random() * 2 ** 31);
  const seeds = given ? 1 : SEEDS;
  let calls = 0;
  let evictions = 0;
  await withTempDir(async (dir) => {
    for (let seed = first; seed < first + seeds; seed++) {
      const runDir = join(dir, String(seed));
      await mkdir(runDir);
      const run = new Run(seed, runDir);
      try {
        await run.run(CALLS);
      } catch (cause) {
        throw new AssertionError(
          `seed ${seed}, call ${run.calls} (repeat with MANIFOLD_SEED=${seed}): ${
            cause instanceof Error ? cause.stack ?? cause.message : cause
          }`,
          { cause },
        );
      }
      calls += run.calls;
      evictions += run.evictions;
    }
  });
  console.log(
    `model: seeds from ${first}, ${seeds} of them, ${calls} calls, ${evictions} evictions`,
  );
  if (seeds < 50) return;
  assertGreater(calls, 200_000);
  assertGreater(evictions, 10_000);
});
