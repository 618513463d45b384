/**
 * The engine of a family against a model: random transactions on several tables and families, on a
 * cache so small that pages are written early and evicted all the time, some groups discarded, some
 * versions held for long. Every version that is held reads as it did; once nothing is held, the
 * pages in use are those that the present state refers to; a checkpoint's pages are all there.
 */

import { bytes } from "../lib/api/codecs/mod.ts";
import { LiveSource, type PinnedSource } from "../lib/api/state_source.ts";
import { TableReader } from "../lib/api/table_reader.ts";
import { listTables } from "../lib/engine/catalog.ts";
import type { Refusal } from "../lib/engine/requests.ts";
import { ManifoldError } from "../lib/errors.ts";
import { newFamilyState } from "../lib/memory/family_slots.ts";
import { PageWriterOut } from "../lib/storage/page_writer.ts";
import { checkTree } from "../lib/tree/check.ts";
import { compareBytes } from "../lib/tree/bytes.ts";
import { keyBytesMax } from "../lib/tree/page.ts";
import { assert, assertEquals, assertThrows } from "./support/assert.ts";
import { LocalDatabase, LocalFamily, Operations } from "./support/local_family.ts";
import { Random } from "./support/random.ts";
import { test } from "./support/test.ts";

const TABLES = ["ants", "bees", "cats"];
const KEYS = 1500;

/** Keys as numbers, so that the model's order is the keys' order. */
type Model = Map<string, Map<number, Uint8Array>>;

function copyModel(model: Model): Model {
  return new Map(Array.from(model, ([name, table]) => [name, new Map(table)]));
}

function keyOf(number: number): Uint8Array {
  const key = new Uint8Array(4 + number % 23);
  new DataView(key.buffer).setUint32(0, number);
  return key;
}

/** Writes to a family and to what it should hold. */
class Writer {
  readonly family: LocalFamily;
  readonly random: Random;
  model: Model = new Map();

  constructor(family: LocalFamily, random: Random) {
    this.family = family;
    this.random = random;
  }

  /** One group of transactions, published or discarded. */
  group(): void {
    const { random, family } = this;
    const next = copyModel(this.model);
    let expected = 0;
    const transactions = Array.from({ length: 1 + random.int(3) }, () => {
      const operations = new Operations();
      for (let i = random.int(3); i >= 0; i--) expected += this.#change(next, operations);
      return operations;
    });
    if (random.chance(0.05)) expected += this.#drop(next, transactions);
    const removed = family.apply(...transactions);
    assertEquals(removed, expected, "entries removed or replaced");
    if (random.chance(0.15)) {
      family.engine.discard();
      return;
    }
    family.engine.seal();
    if (random.chance(0.1)) {
      family.engine.discard();
      return;
    }
    family.engine.publish();
    family.engine.afterPublish();
    this.model = next;
  }

  #value(): Uint8Array {
    const { random } = this;
    const length = random.chance(0.05) ? random.int(20_000) : random.int(300);
    return new Uint8Array(length).fill(random.int(256));
  }

  #change(model: Model, operations: Operations): number {
    const { random } = this;
    const name = random.pick(TABLES);
    const alias = operations.open(name);
    let table = model.get(name);
    if (table === undefined) model.set(name, table = new Map());
    let removed = 0;
    const kind = random.int(10);
    if (kind < 5) {
      for (let i = random.int(80); i >= 0; i--) {
        const number = random.int(KEYS);
        const value = this.#value();
        operations.set(alias, keyOf(number), value);
        if (table.has(number)) removed++;
        table.set(number, value);
      }
    } else if (kind < 8) {
      for (let i = random.int(40); i >= 0; i--) {
        const number = random.int(KEYS);
        operations.delete(alias, keyOf(number));
        if (table.delete(number)) removed++;
      }
    } else {
      const from = random.int(KEYS);
      const to = random.chance(0.1) ? Infinity : from + random.int(KEYS / 4);
      const withFrom = random.chance(0.5);
      const withTo = random.chance(0.5);
      operations.deleteRange(
        alias,
        { key: keyOf(from), inclusive: withFrom },
        to === Infinity ? null : { key: keyOf(to), inclusive: withTo },
      );
      for (const number of [...table.keys()]) {
        if (number < from || (number === from && !withFrom)) continue;
        if (number > to || (number === to && !withTo)) continue;
        table.delete(number);
        removed++;
      }
    }
    return removed;
  }

  /** Drops a table that is published, as a transaction of its own in front. */
  #drop(model: Model, transactions: Operations[]): number {
    const { family, random } = this;
    const { store, epochs } = family.database.writer;
    const state = newFamilyState();
    family.database.writer.slots.read(family.slot, state);
    epochs.enter();
    const tables = listTables(store, state);
    epochs.leave();
    if (tables.length === 0) return 0;
    const { name, entry } = random.pick(tables);
    const operations = new Operations();
    operations.drop(entry.id, name);
    transactions.push(operations);
    const count = model.get(name)!.size;
    model.delete(name);
    return count;
  }
}

/** Compares everything that a source reads with a model. */
function compare(source: LiveSource | PinnedSource, model: Model): void {
  for (const name of TABLES) {
    const table = new TableReader(name, bytes, bytes, source);
    const expected = [...(model.get(name) ?? [])].sort(([a], [b]) => a - b);
    assertEquals(table.count(), expected.length, `entries of ${name}`);
    let i = 0;
    for (const [key, value] of table) {
      const [number, wanted] = expected[i++];
      const same = (a: Uint8Array, b: Uint8Array) =>
        compareBytes(a, 0, a.length, b, 0, b.length) === 0;
      assert(same(key, keyOf(number)), `key ${i} of ${name}`);
      assert(same(value, wanted), `value ${i} of ${name}`);
    }
    assertEquals(i, expected.length);
  }
}

/** The full check of every tree of the present state. */
function check(family: LocalFamily): void {
  const { store, epochs, slots } = family.database.reader;
  const state = newFamilyState();
  epochs.enter();
  try {
    slots.read(family.slot, state);
    for (const { name, entry } of listTables(store, state)) {
      checkTree(store, entry.root, (finding) => {
        throw new Error(`${name}: ${finding}`);
      });
    }
  } finally {
    epochs.leave();
  }
}

/** Pages in use are those that the present state needs, and `others`. */
function account(family: LocalFamily, others: number): void {
  family.reclaim();
  const state = newFamilyState();
  family.database.reader.slots.read(family.slot, state);
  const { used, retired } = family.engine.pageCounts;
  assertEquals({ used, retired }, { used: family.reachablePages(state).size + others, retired: 0 });
}

interface Held {
  readonly source: PinnedSource;
  readonly model: Model;
}

for (const cacheBytes of [90 * 4096, 400 * 4096]) {
  test(`random groups read as the model, ${cacheBytes / 4096} frames`, async () => {
    const random = Random.fromEnvironment(`engine family, ${cacheBytes / 4096} frames`);
    const database = await LocalDatabase.create({ cacheBytes });
    const writers = ["first", "second"].map((name) => new Writer(database.family(name), random));
    const held: Held[][] = writers.map(() => []);
    for (let step = 0; step < 500; step++) {
      const which = random.int(writers.length);
      const writer = writers[which];
      const versions = held[which];
      writer.group();
      if (random.chance(0.1)) writer.family.reclaim();
      if (random.chance(0.1)) {
        versions.push({ source: writer.family.source.snapshot(), model: writer.model });
      }
      if (versions.length > 0 && random.chance(0.12)) {
        const [{ source, model }] = versions.splice(random.int(versions.length), 1);
        compare(source, model);
        source.dispose();
      }
      if (step % 20 === 0) compare(writer.family.source, writer.model);
      if (step % 100 === 0) check(writer.family);
    }
    for (const { source, model } of held.flat()) compare(source, model);
    for (const { source } of held.flat()) source.dispose();
    for (const writer of writers) {
      compare(writer.family.source, writer.model);
      check(writer.family);
      account(writer.family, 0);
    }
    const { owned } = database.writer.frames.census();
    assert(owned <= 2 * 80, `${owned} frames are owned although no group is open`);
    assert(database.writer.frames.evictions > 0, "the cache was not too small");
  });
}

test("a checkpoint's version is whole in the file, whatever comes after", async () => {
  const random = Random.fromEnvironment("engine checkpoint");
  const options = { cacheBytes: 120 * 4096 };
  const database = await LocalDatabase.create(options);
  const writer = new Writer(database.family("first"), random);
  for (let round = 0; round < 8; round++) {
    for (let i = 0; i < 25; i++) writer.group();
    const { model } = writer;
    const entry = writer.family.checkpoint(random.chance(0.5) ? () => writer.group() : undefined);
    for (let i = 0; i < 25; i++) writer.group();
    database.writeDirtyPages();

    const copy = await database.copyOfFile(options);
    const reopened = new LocalFamily(copy, "first", { id: writer.family.engine.id, entry });
    compare(reopened.source, model);
    check(reopened);
    account(reopened, Math.ceil((48 + entry.imageBytes) / 4096));

    const next = new Writer(reopened, random);
    next.model = model;
    for (let i = 0; i < 10; i++) next.group();
    compare(reopened.source, next.model);
  }
});

/**
 * When the checkpoint of a transaction that bypasses the log failed, the image before it counted as
 * retired by a version that never came: the next checkpoint still had its pages in use, and after a
 * crash nobody gave them back.
 */
test("images of checkpoints that failed leave no page behind", async () => {
  const database = await LocalDatabase.create();
  const family = database.family("first");
  const { slots } = database.writer;
  const value = new Uint8Array(100);
  const operations = (first: number): Operations => {
    const made = new Operations();
    const table = made.open("ants");
    for (let i = 0; i < 200; i++) made.set(table, keyOf(first + i), value);
    return made;
  };
  family.commit(operations(0));
  family.checkpoint();
  family.commit(operations(200));
  for (let i = 0; i < 3; i++) {
    family.apply(operations(400));
    family.engine.seal();
    slots.setCheckpointVersion(family.slot, family.engine.version + 1);
    family.engine.handOver(1000 + i);
    slots.setCheckpointVersion(family.slot, -1);
    family.engine.discard();
  }
  const entry = family.checkpoint();
  const copy = await database.copyOfFile({});
  const reopened = new LocalFamily(copy, "first", { id: family.engine.id, entry });
  account(reopened, Math.ceil((48 + entry.imageBytes) / 4096));
});

test("what cannot be applied is refused before anything is changed", async () => {
  const family = await LocalFamily.create();
  const key = new Uint8Array([1]);
  family.write("t", (operations, table) => void operations.set(table, key, key));
  const before = family.engine.version;
  const refusal = (operations: Operations): Refusal => {
    family.engine.beginGroup();
    try {
      const bytes = operations.take();
      const memory = { u8: bytes, u32: new Uint32Array(bytes.buffer) };
      return assertThrows(() => family.engine.apply(memory, 0, bytes.length, null)) as Refusal;
    } finally {
      family.engine.discard();
    }
  };
  assertEquals(refusal(new Operations().set(7, key, key)).code, "not-found");
  const mismatch = new Operations();
  mismatch.open("t", "text\0bytes");
  assertEquals(refusal(mismatch).code, "type-mismatch");
  const long = new Operations();
  long.set(long.open("t"), key, key).set(1, new Uint8Array(keyBytesMax(4096) + 1), key);
  assertEquals(refusal(long).code, "too-large");
  assertEquals(family.engine.version, before);
  account(family, 0);
});

test("a page that only a checkpoint needs gives its frame up; one that a reader may read does not", async () => {
  for (const isRead of [false, true]) {
    const family = await LocalFamily.create();
    const { slots, frames } = family.database.writer;
    const key = keyOf(1);
    const write = (value: number) =>
      family.write("t", (operations, table) => operations.set(table, key, keyOf(value)));
    write(1);
    family.checkpoint();
    const state = newFamilyState();
    slots.read(family.slot, state);
    const pages = [...family.reachablePages(state)];
    const snapshot = isRead ? family.source.snapshot() : undefined;
    write(2);
    family.reclaim();
    for (const page of pages) assertEquals(frames.find(page) >= 0, isRead, `page ${page}`);
    assertEquals(family.engine.pageCounts.retired, pages.length);
    // Dirty pages are not in the file, and stay.
    slots.setCheckpointVersion(family.slot, slots.version(family.slot));
    slots.read(family.slot, state);
    const dirty = [...family.reachablePages(state)];
    write(3);
    family.reclaim();
    for (const page of dirty) assert(frames.find(page) >= 0, `page ${page}`);
    if (snapshot !== undefined) {
      const table = new TableReader("t", bytes, bytes, snapshot);
      assertEquals(table.get(key), keyOf(1));
      snapshot.dispose();
    }
  }
});

test("versions go on beyond 2^32, with a pin, a checkpoint and discarded groups on the edge", async () => {
  const edge = 2 ** 32;
  const random = Random.fromEnvironment("beyond 2^32");
  for (const pinned of [edge - 2, edge - 1, edge]) {
    for (const checkpointed of [edge - 1, edge, edge + 1]) {
      const first = new Writer((await LocalDatabase.create()).family("first"), random);
      while (first.family.engine.version < 5) first.group();
      const entry = { ...first.family.checkpoint(), version: edge - 3 };
      const options = { cacheBytes: 100 * 4096 };
      const database = await first.family.database.copyOfFile(options);
      const { id } = first.family.engine;
      const family = new LocalFamily(database, "first", { id, entry });
      const writer = new Writer(family, random);
      writer.model = first.model;
      const upTo = (version: number): void => {
        while (family.engine.version < version) {
          const { version } = family.engine;
          writer.group();
          assert([version, version + 1].includes(family.engine.version));
        }
      };
      upTo(Math.min(pinned, checkpointed));
      let source: PinnedSource | undefined;
      let model: Model = new Map();
      const pin = (): void => {
        source = family.source.snapshot();
        model = writer.model;
        assertEquals(source.state.version, pinned);
      };
      if (pinned <= checkpointed) pin();
      upTo(checkpointed);
      const atCheckpoint = writer.model;
      const durable = family.checkpoint(() => upTo(checkpointed + 1));
      assertEquals(durable.version, checkpointed);
      if (source === undefined) {
        upTo(pinned);
        pin();
      }
      upTo(edge + 7);
      compare(family.source, writer.model);
      compare(source!, model);
      check(family);
      // What the pin, or the checkpoint, needs is held, and no page more.
      family.reclaim();
      const imagePages = Math.ceil((48 + durable.imageBytes) / 4096);
      const now = newFamilyState();
      database.reader.slots.read(family.slot, now);
      const present = family.reachablePages(now);
      const all = new Set([source!.state, durable, now].flatMap((state) => [
        ...family.reachablePages(state),
      ]));
      const { used, retired } = family.engine.pageCounts;
      assertEquals([used, retired], [all.size + imagePages, all.size - present.size]);
      source!.dispose();
      // A checkpoint that comes to nothing: the one before, and its image, stay.
      const { slots } = database.writer;
      slots.setCheckpointVersion(family.slot, family.engine.version);
      family.engine.handOver(1000);
      slots.setCheckpointVersion(family.slot, -1);
      for (let i = 0; i < 3; i++) {
        family.reclaim();
        writer.group();
      }
      database.writeDirtyPages();

      const copy = await database.copyOfFile(options);
      const reopened = new LocalFamily(copy, "first", { id, entry: durable });
      compare(reopened.source, atCheckpoint);
      account(reopened, imagePages);
      // What only the pin and the checkpoint before held is given back.
      const last = family.checkpoint();
      account(family, Math.ceil((48 + last.imageBytes) / 4096));
    }
  }
});

/**
 * A version number is used again when its group was discarded. What the first group wrote to the file early looks
 * like the pages of the second in all but the incarnation.
 */
test("pages of a discarded group are not taken for those of the next one of the same version", async () => {
  const database = await LocalDatabase.create();
  const family = database.family("first");
  const { store, epochs, frames } = database.writer;
  const small = keyOf(1);
  const large = keyOf(2);
  family.write("t", (operations, table) => operations.set(table, small, small));
  const group = (fill: number): Operations => {
    const operations = new Operations();
    const table = operations.open("t");
    operations.set(table, small, new Uint8Array(100).fill(fill));
    return operations.set(table, large, new Uint8Array(9000).fill(fill));
  };
  /** The pages that the open group has made, as they are in the file once they are written early. */
  const written = (): Map<number, Uint8Array> => {
    const runs = family.engine.pager.freshRuns(false);
    const pages = new Map<number, Uint8Array>();
    const dirty = runs.filter((_, i) => i % 2 === 0)
      .map((page) => ({ page, frame: frames.find(page) }))
      .filter(({ frame }) => frame >= 0);
    new PageWriterOut(store, epochs).write(dirty);
    for (let i = 0; i < runs.length; i += 2) {
      const at = runs[i] * 4096;
      pages.set(runs[i], database.file.bytes.slice(at, at + runs[i + 1] * 4096));
    }
    return pages;
  };
  const version = family.engine.version + 1;
  family.apply(group(0xaa));
  family.engine.seal();
  const discarded = written();
  family.engine.discard();

  family.apply(group(0xbb));
  family.engine.seal();
  const kept = written();
  family.engine.publish();
  family.engine.afterPublish();
  assertEquals(family.engine.version, version);
  assertEquals([...kept.keys()].sort(), [...discarded.keys()].sort(), "the same pages were taken");

  const evict = () => [...kept.keys()].forEach((page) => frames.evict(page));
  /** From the file: a source that has read the version keeps what it has looked up in the catalog. */
  const read = (key: Uint8Array): Uint8Array | undefined => {
    const source = new LiveSource({
      memory: database.reader,
      slot: family.slot,
      family: family.engine.id,
      familyName: "first",
      path: database.file.path,
      isClosed: () => false,
    });
    return new TableReader("t", bytes, bytes, source).get(key);
  };
  let found = 0;
  for (const [page, stale] of discarded) {
    evict();
    assertEquals(read(small), new Uint8Array(100).fill(0xbb));
    assertEquals(read(large), new Uint8Array(9000).fill(0xbb));
    evict();
    database.file.write(page * 4096, stale);
    const error = assertThrows(
      () => {
        assertEquals(read(small), new Uint8Array(100).fill(0xbb));
        assertEquals(read(large), new Uint8Array(9000).fill(0xbb));
      },
      ManifoldError,
      "a write was lost",
    );
    assertEquals(error.code, "corrupt");
    assert(error.message.includes(`page ${page} `), error.message);
    database.file.write(page * 4096, kept.get(page)!);
    found++;
  }
  assertEquals(found, 3, "the catalog's leaf, the table's, and the value");
});

/**
 * Looking for a frame never ended once the thread had sent more than a thousand frames to limbo that
 * others had taken since: the list was replaced while the old one was being gone through, from its
 * beginning, again and again.
 */
test("a long list of frames that others took is passed over", { timeoutMs: 20_000 }, async () => {
  const database = await LocalDatabase.create({ cacheBytes: 3000 * 4096 });
  const { writer: { frames }, reader } = database;
  const pages = Array.from({ length: 2100 }, (_, page) => page);
  for (const page of pages) frames.publishClean(frames.take(0, 4096), page, 0, false);
  for (const page of pages) assert(frames.unlink(page) >= 0);
  for (let i = 0; i < 3000; i++) assert(reader.frames.take(0, 4096) >= 0, `frame ${i}`);
  assertEquals(frames.take(0, 4096), -1);
});
