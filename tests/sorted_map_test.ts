/** Protects the overlay of a transaction: checked against plain arrays, clones included. */

import fc from "fast-check";
import { compareBytes } from "../lib/api/bytes_order.ts";
import type { KeyBound } from "../lib/api/range.ts";
import { RangeSet, SortedMap } from "../lib/api/sorted_map.ts";
import { assert, assertEquals, assertLess } from "./support/assert.ts";
import { Random } from "./support/random.ts";
import { test } from "./support/test.ts";

type Entry = [Uint8Array, number];

const bound = (key: Uint8Array, inclusive: boolean): KeyBound => ({ key, inclusive });

function inBounds(key: Uint8Array, lower: KeyBound | null, upper: KeyBound | null): boolean {
  const low = lower === null ? 1 : compareBytes(key, lower.key);
  const high = upper === null ? -1 : compareBytes(key, upper.key);
  return (low > 0 || (low === 0 && lower!.inclusive)) &&
    (high < 0 || (high === 0 && upper!.inclusive));
}

class Model {
  constructor(public entries: Entry[] = []) {}

  place(key: Uint8Array): number {
    let low = 0;
    let high = this.entries.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (compareBytes(this.entries[middle][0], key) < 0) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  has(key: Uint8Array): boolean {
    const at = this.entries[this.place(key)];
    return at !== undefined && compareBytes(at[0], key) === 0;
  }

  set(key: Uint8Array, value: number): void {
    this.entries.splice(this.place(key), this.has(key) ? 1 : 0, [key, value]);
  }

  delete(key: Uint8Array): boolean {
    const there = this.has(key);
    if (there) this.entries.splice(this.place(key), 1);
    return there;
  }

  between(lower: KeyBound | null, upper: KeyBound | null): Entry[] {
    return this.entries.filter(([key]) => inBounds(key, lower, upper));
  }
}

function assertSame(map: SortedMap<number>, model: Model): void {
  assertEquals(map.size, model.entries.length);
  let at = 0;
  for (const [key, value] of map.entries()) {
    const [expectedKey, expectedValue] = model.entries[at++];
    assert(value === expectedValue && compareBytes(key, expectedKey) === 0, `entry ${at - 1}`);
  }
  assertEquals(at, model.entries.length);
  for (const [key, value] of map.entries(null, null, true)) {
    const [expectedKey, expectedValue] = model.entries[--at];
    assert(value === expectedValue && compareBytes(key, expectedKey) === 0, `entry ${at}`);
  }
  assertEquals(at, 0);
}

test("sorted map: behaves like a sorted array, over many chunks, clones apart", () => {
  const random = Random.fromEnvironment("sorted map");
  const key = () => random.bytes(1 + random.int(3)).map((byte) => byte & 0x3f);
  const someBound = () => random.chance(0.1) ? null : bound(key(), random.chance(0.5));
  const states: { map: SortedMap<number>; model: Model }[] = [
    { map: new SortedMap(), model: new Model() },
  ];
  for (let step = 0; step < 60_000; step++) {
    const { map, model } = random.pick(states);
    const k = key();
    const what = random.int(10_000);
    if (what < 6500) {
      map.set(k, step);
      model.set(k, step);
    } else if (what < 9000) {
      assertEquals(map.delete(k), model.delete(k));
    } else if (what < 9950) {
      assertEquals(map.has(k), model.has(k));
      assertEquals(map.get(k), model.has(k) ? model.entries[model.place(k)][1] : undefined);
      const inclusive = random.chance(0.5);
      const at = model.place(k) + (model.has(k) && !inclusive ? 1 : 0);
      const before = model.place(k) - (model.has(k) && inclusive ? 0 : 1);
      assertEquals(map.firstAtOrAfter(k, inclusive), model.entries[at]);
      assertEquals(map.lastAtOrBefore(k, inclusive), model.entries[before]);
    } else if (what < 9970) {
      const lower = someBound();
      const upper = someBound();
      const expected = model.between(lower, upper);
      assertEquals([...map.entries(lower, upper)].length, expected.length);
      assertEquals([...map.entries(lower, upper, true)].reverse(), expected);
    } else if (what < 9980) {
      const lower = someBound();
      const upper = lower === null || random.chance(0.2)
        ? someBound()
        : bound(Uint8Array.of(lower.key[0] + random.int(8), random.int(64)), true);
      const gone = model.between(lower, upper);
      assertEquals(map.deleteRange(lower, upper), gone.length);
      model.entries = model.entries.filter((entry) => !gone.includes(entry));
    } else if (what < 9990) {
      const copy = { map: map.clone(), model: new Model(model.entries.slice()) };
      if (states.length < 4) states.push(copy);
      else states[random.int(4)] = copy;
    } else {
      const saved = random.pick(states);
      map.restore(saved.map);
      model.entries = saved.model.entries.slice();
    }
    if (step % 5000 === 0) { for (const state of states) assertSame(state.map, state.model); }
  }
  for (const state of states) assertSame(state.map, state.model);
});

test("sorted map: a cursor goes on from its key whatever the map does meanwhile", () => {
  const random = Random.fromEnvironment("sorted map cursor");
  const map = new SortedMap<number>();
  const model = new Model();
  const key = () => Uint8Array.of(random.int(64), random.int(64));
  const cursor = map.cursor();
  let on: Uint8Array | undefined;
  for (let step = 0; step < 30_000; step++) {
    const k = key();
    const change = random.int(100);
    if (change < 30) {
      map.set(k, step);
      model.set(k, step);
    } else if (change < 50) {
      map.delete(k);
      model.delete(k);
    } else if (change < 51) {
      map.restore(map.clone());
    }
    if (random.chance(0.02)) cursor.seek(null);
    else if (on === undefined || random.chance(0.05)) cursor.seek(bound(k, true));
    else {
      const forwards = random.chance(0.6);
      const at = model.place(on);
      const expected = model.entries[forwards ? at + (model.has(on) ? 1 : 0) : at - 1];
      assertEquals(forwards ? cursor.next() : cursor.previous(), expected !== undefined);
      if (expected !== undefined) assertEquals([cursor.key, cursor.value], expected);
    }
    on = cursor.valid ? cursor.key : undefined;
  }
});

test("sorted map: a hundred thousand keys in order, then gone", () => {
  const map = new SortedMap<number>();
  const key = (i: number) => Uint8Array.of(i >>> 16, i >>> 8, i);
  for (let i = 0; i < 100_000; i++) map.set(key(i), i);
  let expected = 0;
  for (const [, value] of map.entries()) assertEquals(value, expected++);
  const saved = map.clone();
  assertEquals(map.deleteRange(bound(key(10), false), bound(key(99_990), false)), 99_979);
  assertEquals(map.size, 21);
  for (let i = 0; i < 100_000; i++) assertEquals(map.delete(key(i)), i <= 10 || i >= 99_990);
  assertEquals([map.size, [...map.entries()].length, saved.size], [0, 0, 100_000]);
  map.restore(saved);
  assertEquals(map.get(key(50_000)), 50_000);
  map.clear();
  assertEquals(map.firstAtOrAfter(key(0)), undefined);
  assertEquals(map.lastAtOrBefore(key(0)), undefined);
  assertEquals(saved.size, 100_000);
});

const small = fc.integer({ min: 0, max: 40 }).map((i) => Uint8Array.of(i));
const smallOrNone = fc.option(small, { freq: 8 });
const universe = Array.from({ length: 41 }, (_, i) => Uint8Array.of(i));

test("range set: behaves like a set of keys, in as few spans as it takes", () => {
  fc.assert(
    fc.property(
      fc.array(fc.tuple(small, smallOrNone), { maxLength: 12 }),
      small,
      smallOrNone,
      (spans, from, to) => {
        const set = new RangeSet();
        const model = new Array<boolean>(41).fill(false);
        const saved: [RangeSet, boolean[]][] = [];
        for (const [a, b] of spans) {
          if (saved.length % 2 === 0) saved.push([set.clone(), model.slice()]);
          else saved.push([saved[0][0].clone(), saved[0][1]]);
          set.add(a, b);
          for (let i = a[0]; i < (b?.[0] ?? 41); i++) model[i] = true;
        }
        saved.push([set, model]);
        for (const [other, keys] of saved) {
          assertEquals(universe.map((key) => other.contains(key)), keys);
          const runs = keys.filter((there, i) => there && !keys[i - 1]).length;
          assertEquals(other.size, runs);
          assertEquals(other.spans().length, runs);
        }

        const gaps = [...set.gaps(from, to)];
        assertEquals([...set.gaps(from, to, true)].reverse(), gaps);
        const free = universe.filter((key) =>
          gaps.some((gap) => inBounds(key, bound(gap.from, true), gap.to && bound(gap.to, false)))
        );
        assertEquals(
          free,
          universe.filter((key) =>
            !model[key[0]] && inBounds(key, bound(from, true), to && bound(to, false))
          ),
        );
        for (let i = 1; i < gaps.length; i++) {
          assertLess(compareBytes(gaps[i - 1].to!, gaps[i].from), 0);
        }
      },
    ),
    { numRuns: 3000 },
  );
});

test("range set: bounds of every kind, and a scan's way past a span", () => {
  const set = new RangeSet();
  set.addBetween(bound(Uint8Array.of(3), false), bound(Uint8Array.of(5), true));
  assertEquals(universe.filter((key) => set.contains(key)).map((key) => key[0]), [4, 5]);
  assert(set.contains(Uint8Array.of(3, 0)) && !set.contains(Uint8Array.of(5, 0)));
  assertEquals(set.spanAt(Uint8Array.of(4))?.to, Uint8Array.of(5, 0));
  assertEquals(set.spanAt(Uint8Array.of(9)), undefined);
  const before = set.clone();
  set.addBetween(null, bound(Uint8Array.of(1), false));
  set.addBetween(bound(Uint8Array.of(9), true), null);
  assert(set.contains(new Uint8Array(0)) && set.contains(Uint8Array.of(255, 255)));
  assertEquals([set.size, before.size], [3, 1]);
  set.addBetween(null, null);
  assertEquals([...set.gaps(new Uint8Array(0), null)], []);
  set.restore(before);
  assertEquals(set.size, 1);
  set.clear();
  assertEquals([set.size, before.size, set.contains(Uint8Array.of(4))], [0, 1, false]);
});
