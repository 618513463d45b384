/**
 * What an operation costs as the tree grows.
 *
 * @module
 */

import { Random } from "../../tests/support/random.ts";
import { expectCount, secondsOf, SMALL_BYTES } from "../support/context.ts";
import { KEY_BYTES, KeySource } from "../support/keys.ts";
import { roundsPerSecond } from "./support/measurement.ts";
import { openStore, storeEngines } from "./support/stores/mod.ts";
import type { Store } from "./support/stores/store.ts";
import type { Suite, SuiteResult, SuiteRow } from "./suite.ts";

/** Entries, in millions. */
const MARKS = [1, 3, 10];
/** The peers would take many minutes to get to the next one. */
const PEERS_MOST = 3;
const MILLION = 1_000_000;
/** What is put in the last of it is measured. */
const MEASURED_PART = 0.05;
const BATCH = 1000;
/** Until then larger batches lead to the same tree sooner. */
const GROWING_BATCH = 20_000;
const GETS = 100_000;
/** Of the keys only every tenth is remembered. */
const REMEMBERED = 10;

function rowsOf(millions: number): SuiteRow[] {
  const entries = `${millions} million entries`;
  return [
    {
      name: `put_${millions}m`,
      unit: "µs",
      better: "less",
      about: `per put on the last ${MEASURED_PART * 100} % of the way to ${entries}, ` +
        `durable batches of ${BATCH}`,
    },
    {
      name: `get_${millions}m`,
      unit: "µs",
      better: "less",
      about: `per point read among ${entries}`,
    },
  ];
}

/** A table that grows by random keys. */
class GrowingTable {
  readonly #store: Store;
  readonly #keys = new KeySource();
  readonly #value = new Uint8Array(SMALL_BYTES).fill(7);
  /** One after the other: ten million arrays would be a load for the collector. */
  readonly #remembered: Uint8Array;
  entries = 0;

  constructor(store: Store, most: number) {
    this.#store = store;
    this.#remembered = new Uint8Array(Math.ceil(most / REMEMBERED) * KEY_BYTES);
  }

  /** By batches of at most so many; how long the commits took, s. */
  async grow(to: number, most: number): Promise<number> {
    let seconds = 0;
    while (this.entries < to) {
      const batch = Array.from({ length: Math.min(most, to - this.entries) }, () => {
        const key = this.#keys.next();
        if (this.entries % REMEMBERED === 0) {
          this.#remembered.set(key, this.entries / REMEMBERED * KEY_BYTES);
        }
        this.entries++;
        return [key, this.#value] as const;
      });
      seconds += await secondsOf(() => this.#store.commit(batch));
    }
    return seconds;
  }

  getsPerSecond(gets: number): number {
    const random = new Random(1);
    const remembered = Math.ceil(this.entries / REMEMBERED);
    return roundsPerSecond("growth", gets, gets * this.#value[0], () => {
      const at = random.int(remembered) * KEY_BYTES;
      return this.#store.get(this.#remembered.subarray(at, at + KEY_BYTES))![0];
    });
  }

  check(): void {
    expectCount("growth", this.#store.keys() / KEY_BYTES, this.entries);
  }
}

export const growth: Suite = {
  name: "growth",
  about:
    `Puts and reads of random keys of ${KEY_BYTES} bytes, values of ${SMALL_BYTES}, as the table ` +
    "grows; ten million are more than the engine's cache holds (1 GiB), the system's has the rest.",
  engines: storeEngines,
  rows: MARKS.flatMap(rowsOf),
  async *run({ engine, dir, share }): AsyncGenerator<SuiteResult> {
    const marks = engine === "manifold" ? MARKS : MARKS.filter((mark) => mark <= PEERS_MOST);
    const store = await openStore(engine, dir);
    const table = new GrowingTable(store, share(Math.max(...marks) * MILLION));
    for (const millions of marks) {
      const entries = share(millions * MILLION);
      const puts = Math.max(1, Math.round(entries * MEASURED_PART));
      await table.grow(entries - puts, GROWING_BATCH);
      const seconds = await table.grow(entries, BATCH);
      yield { row: `put_${millions}m`, value: seconds / puts * 1e6 };
      // What is being brought into the data file at that time would be measured, too.
      await store.settle();
      yield { row: `get_${millions}m`, value: 1e6 / table.getsPerSecond(share(GETS)) };
    }
    table.check();
    await store.close();
  },
};
