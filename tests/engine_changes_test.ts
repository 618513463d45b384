/**
 * What a family's engine tells of its changes, without threads: what is kept follows from the operations alone,
 * however they are grouped; a discarded group is told to nobody; the feed, its records and its readers' places take
 * what they should, and damage is found.
 */

import { FeedReader } from "../lib/api/feed_reader.ts";
import { findKeptTable, listTables } from "../lib/engine/catalog.ts";
import { type EntryChange, readChange } from "../lib/engine/change_record.ts";
import {
  keepBytesOf,
  type KeptChange,
  keptCodecs,
  keptState,
  readKeptChanges,
} from "../lib/engine/kept_changes.ts";
import type { ThreadMemory } from "../lib/engine/thread_memory.ts";
import { ManifoldError } from "../lib/errors.ts";
import { encodeOperation, OP_CREATE_FAMILY, operationMemory } from "../lib/log/operations.ts";
import { RecordBuilder } from "../lib/log/record.ts";
import { ChangeFeed } from "../lib/memory/change_feed.ts";
import { WATCHERS_MAX } from "../lib/memory/control.ts";
import { newFamilyState } from "../lib/memory/family_slots.ts";
import { addWatcher, isWatched, releaseWatchersOf, removeWatcher } from "../lib/memory/watchers.ts";
import { putU53 } from "../lib/storage/bytes.ts";
import { assert, assertEquals, assertGreater, assertThrows } from "./support/assert.ts";
import { LocalFamily, Operations } from "./support/local_family.ts";
import { Random } from "./support/random.ts";
import { test } from "./support/test.ts";

/** The operation that makes a family which keeps so much. */
function creation(keepBytes: number): Uint8Array {
  const key = new Uint8Array(8);
  putU53(new DataView(key.buffer), 0, keepBytes);
  return encodeOperation(OP_CREATE_FAMILY, 0, key, new TextEncoder().encode("local"));
}

/** A family that keeps its changes, and the operations of each of its versions as the log has them. */
class Recorded {
  readonly family: LocalFamily;
  readonly versions: Uint8Array[] = [];

  private constructor(family: LocalFamily) {
    this.family = family;
  }

  static async create(keepBytes: number): Promise<Recorded> {
    const recorded = new Recorded(await LocalFamily.create({ pageSize: 4096 }));
    recorded.#group(true, creation(keepBytes));
    return recorded;
  }

  /** A group of transactions, published or discarded. */
  group(publish: boolean, ...transactions: Operations[]): void {
    this.#group(publish, ...transactions.map((one) => one.take()));
  }

  #group(publish: boolean, ...transactions: Uint8Array[]): void {
    const { engine } = this.family;
    const record = new RecordBuilder();
    record.beginPart(engine.id, engine.version + 1);
    engine.beginGroup();
    const from = record.length;
    for (const bytes of transactions) {
      engine.apply(operationMemory(bytes), 0, bytes.length, record);
    }
    if (!publish) return engine.discard();
    engine.seal();
    engine.publish();
    engine.afterPublish();
    const length = record.length;
    const life = { salt: new Uint8Array(8), generation: 0, durable: 0 };
    const whole = record.finish(0, life, this.family.database.writer.checksum);
    this.versions.push(whole.slice(from, length));
  }
}

/** Applies versions as one group, as a recovery does. */
function replay(family: LocalFamily, versions: readonly Uint8Array[]): void {
  const { engine } = family;
  const first = engine.version + 1;
  engine.beginGroup(engine.version + versions.length);
  versions.forEach((bytes, i) => {
    engine.apply(operationMemory(bytes), 0, bytes.length, null, first + i);
    engine.endVersion();
  });
  engine.seal();
  engine.publish();
  engine.afterPublish();
}

/** All that a family keeps. */
function keptOf({ source, slot }: LocalFamily): { state: unknown; changes: KeptChange[] } {
  const { store, epochs } = source.memory;
  const state = newFamilyState();
  epochs.enter();
  try {
    source.read(state);
    store.family = slot;
    const { root } = findKeptTable(store, state)!;
    const kept = keptState(store, root);
    const position = { version: kept.since + 1, index: 0, count: 0 };
    const changes: KeptChange[] = [];
    for (;;) {
      const more = readKeptChanges({ pager: store, root, values: store }, position, 1000);
      if (more.length === 0) return { state: kept, changes };
      changes.push(...more);
    }
  } finally {
    epochs.leave();
  }
}

function randomKey(random: Random): Uint8Array {
  return new Uint8Array([random.int(60)]);
}

function randomTransaction(random: Random): Operations {
  const operations = new Operations();
  const tables = ["ants", "bees"].map((name) => operations.open(name));
  for (let i = random.int(6); i >= 0; i--) {
    const table = random.pick(tables);
    if (random.chance(0.6)) {
      const length = random.int(random.chance(0.1) ? 9000 : 300);
      operations.set(table, randomKey(random), random.bytes(length));
    } else if (random.chance(0.5)) {
      operations.delete(table, randomKey(random));
    } else {
      const lower = { key: randomKey(random), inclusive: random.chance(0.5) };
      operations.deleteRange(table, lower, { key: randomKey(random), inclusive: true });
    }
  }
  return operations;
}

test("engine: what is kept follows from the operations, whether they come in one group or many", async () => {
  const random = Random.fromEnvironment("kept changes");
  for (const keepBytes of [2 ** 40, 20_000, 1]) {
    const recorded = await Recorded.create(keepBytes);
    const entries = new Map<string, string>();
    for (let i = 0; i < 120; i++) {
      const transactions = Array.from(
        { length: 1 + random.int(3) },
        () => randomTransaction(random),
      );
      recorded.group(random.chance(0.8), ...transactions);
    }
    const { state, changes } = keptOf(recorded.family);
    assertGreater(changes.length, 0);
    if (keepBytes > 2 ** 30) {
      for (const { table, key, previous, value } of changes) {
        const name = `${table[0]} ${key[0]}`;
        assertEquals(previous && String(previous), entries.get(name));
        if (value === undefined) entries.delete(name);
        else entries.set(name, String(value));
      }
      assertGreater(changes.length, 300);
    }
    // All at once, in two halves, and one by one.
    const { versions } = recorded;
    for (const step of [versions.length, Math.ceil(versions.length / 2), 1]) {
      const again = await LocalFamily.create({ pageSize: 4096 });
      for (let from = 0; from < versions.length; from += step) {
        replay(again, versions.slice(from, from + step));
      }
      assertEquals(again.engine.version, recorded.family.engine.version);
      assertEquals(keptOf(again), { state, changes });
      again.reclaim();
    }
  }
});

/** What a reader is told, as text. */
function told(reader: FeedReader): string[] {
  const events: string[] = [];
  for (;;) {
    const event = reader.next();
    if (event === undefined) return events;
    if (event.kind === "gap") events.push(`gap ${event.from}-${event.to}`);
    else if (event.kind === "table gone") events.push("table gone");
    else {
      const { key, previous, value } = event.change;
      events.push(`${event.version}: ${key[0]} ${previous?.length} ${value?.length}`);
    }
  }
}

function watch({ source, slot }: LocalFamily): FeedReader {
  return new FeedReader(source.memory as ThreadMemory, slot, source.family);
}

function sets(key: number, length: number): Operations {
  const operations = new Operations();
  operations.set(operations.open("ants"), new Uint8Array([key]), new Uint8Array(length));
  return operations;
}

test("engine: a discarded group is told to nobody, and one that began before its watcher as a gap", async () => {
  const family = await LocalFamily.create();
  const { engine } = family;
  family.commit(sets(1, 1));
  const reader = watch(family);
  family.apply(sets(2, 2));
  engine.discard();
  assertEquals(told(reader), []);
  family.commit(sets(1, 3));
  assertEquals(told(reader), ["2: 1 1 3"]);
  reader.release();
  family.apply(sets(2, 2));
  engine.seal();
  const late = watch(family);
  engine.publish();
  // It has not seen that version: it must be told that there was one.
  engine.afterPublish();
  family.commit(sets(2, 4), sets(3, 5));
  assertEquals(told(late), ["gap 3-3", "4: 2 2 4", "4: 3 undefined 5"]);
  // One that comes when the version can be seen already is not.
  family.apply(sets(1, 6));
  engine.seal();
  late.release();
  engine.publish();
  const later = watch(family);
  engine.afterPublish();
  assertEquals(told(later), []);
  later.release();
  assertEquals(isWatched(family.source.memory.control, family.source.family), false);
});

test("engine: a reader that was overtaken is given one gap, up to what is published", async () => {
  const family = await LocalFamily.create({ cacheBytes: 8 * 2 ** 20, pagesMax: 2 ** 18 });
  const reader = watch(family);
  family.commit(sets(1, 10));
  assertEquals(told(reader), ["1: 1 undefined 10"]);
  for (let i = 0; i < 6; i++) family.commit(sets(1, 900_000));
  family.commit(sets(2, 3 * 2 ** 20)); // more than half of the feed: a gap of its own
  assertEquals(told(reader), ["gap 2-8"]);
  family.commit(sets(2, 1), sets(2, 2));
  assertEquals(told(reader), ["gap 9-9"], "what was there before counts, too");
  family.commit(sets(2, 3));
  assertEquals(told(reader), ["10: 2 2 3"]);
  reader.release();
});

test("feed: what a reader copies is whole, or it is told that it is not", () => {
  const random = Random.fromEnvironment("feed");
  const feed = new ChangeFeed(ChangeFeed.allocate(1000));
  const all: number[] = [];
  let position = 0;
  for (let i = 0; i < 3000; i++) {
    const bytes = random.bytes(1 + random.int(random.chance(0.02) ? 1000 : 60));
    const { end } = feed;
    feed.append(bytes);
    assertEquals(feed.end, end + bytes.length);
    all.push(...bytes);
    if (random.chance(0.7)) continue;
    const length = random.int(feed.end - position) + 1;
    const copy = new Uint8Array(Math.min(length, feed.capacity));
    const isWhole = feed.read(position, copy, copy.length);
    assertEquals(isWhole, position >= feed.end - feed.capacity);
    if (isWhole) {
      assertEquals([...copy], all.slice(position, position + copy.length));
      position += copy.length;
    } else {
      position = feed.end - random.int(feed.capacity);
    }
  }
});

test("watchers: slots are given back by name, and there are only so many", async () => {
  const { source } = await LocalFamily.create();
  const { control } = source.memory;
  assertEquals(isWatched(control, 5), false);
  const one = addWatcher(control, 3, 5);
  const two = addWatcher(control, 4, 5);
  removeWatcher(control, one);
  assertEquals(isWatched(control, 5), true);
  assertEquals(addWatcher(control, 3, 6), one);
  releaseWatchersOf(control, 4);
  assertEquals(isWatched(control, 5), false);
  assertEquals(isWatched(control, 6), true);
  for (let i = 1; i < WATCHERS_MAX; i++) addWatcher(control, 4, 7);
  assertThrows(() => addWatcher(control, 4, 7), ManifoldError, "which is the most");
  releaseWatchersOf(control, 4);
  assertEquals(addWatcher(control, 4, 7), two);
});

test("changes: a table of kept changes with entries that cannot be is refused", async () => {
  const version = new Uint8Array([0, 0, 0, 0, 0, 0, 0, 5]);
  const change = new Uint8Array([...version, 0, 0, 0, 1]);
  const pair = new Uint8Array(16).fill(1, 8, 9);
  const none = new Uint8Array(0);
  const cases: [key: Uint8Array, value: Uint8Array, isState: boolean][] = [
    [new Uint8Array(1), pair.subarray(0, 15), true],
    [new Uint8Array(1), none, true],
    [version, pair.subarray(0, 15), false],
    [version, new Uint8Array(5000), false],
    [version.subarray(0, 7).map(() => 1), pair, false],
    [new Uint8Array(13).fill(1), pair, false],
    [change, none, false], // no version comes before it
  ];
  for (const [key, value, isState] of cases) {
    const family = await LocalFamily.create({ pageSize: 4096 });
    family.write("t", (operations, table) => operations.set(table, key, value));
    const { store, epochs, slots } = family.database.reader;
    const state = newFamilyState();
    slots.read(family.slot, state);
    epochs.enter();
    const [{ entry: { root } }] = listTables(store, state);
    const position = { version: 5, index: 0, count: 0 };
    const read = () =>
      isState
        ? keptState(store, root)
        : readKeptChanges({ pager: store, root, values: store }, position, 1000);
    const error = assertThrows(read, ManifoldError, "damaged", `${key}`);
    assertEquals(error.code, "corrupt");
    epochs.leave();
  }
});

test("changes: a record that is damaged is refused", () => {
  const bytes = (...values: number[]) => new Uint8Array(values);
  const change: EntryChange = {
    table: bytes(1, 2),
    key: bytes(3),
    previous: undefined,
    value: bytes(4, 5, 6),
  };
  const encoded = new Uint8Array(16 + 2 + 1 + 3);
  encoded.set([2, 2, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 1, 2, 3, 4, 5, 6]);
  const { previousApart, valueApart, ...read } = readChange(encoded);
  assertEquals(read, change);
  assert(!previousApart && !valueApart);
  for (const [at, value] of [[1, 3], [4, 0], [8, 1], [12, 255], [3, 1]]) {
    const damaged = encoded.slice();
    damaged[at] = value;
    assertThrows(() => readChange(damaged), ManifoldError, "damaged");
  }
  for (const length of [0, 15, 21]) {
    assertThrows(() => readChange(encoded.slice(0, length)), ManifoldError, "damaged");
  }
  assertEquals(keepBytesOf(keptCodecs(7)), 7);
  for (const codecs of ["changes", "changes\0", "changes\x000", "changes\x001.5", "bytes\x007"]) {
    assertThrows(() => keepBytesOf(codecs), ManifoldError, "how many bytes");
  }
});

test("engine: a log that makes a family keep what it cannot is refused", async () => {
  for (const keepBytes of [0, 2 ** 52]) {
    const family = await LocalFamily.create();
    const bytes = creation(keepBytes);
    family.engine.beginGroup();
    const apply = () => family.engine.apply(operationMemory(bytes), 0, bytes.length, null);
    assertThrows(apply, ManifoldError, "cannot be made to keep");
    family.engine.discard();
    family.commit(sets(1, 1));
    family.engine.beginGroup();
    const late = creation(100);
    const again = () => family.engine.apply(operationMemory(late), 0, late.length, null);
    assertThrows(again, ManifoldError, "cannot be made to keep");
  }
});
