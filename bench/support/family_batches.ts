/**
 * Batches of large values into one family, one after the other: alone, beside others of the same thread,
 * or in a thread that only does this, see `suites/families_thread.ts`.
 *
 * @module
 */

import { bytes, type ColumnFamily, type Database, type DatabaseHandle } from "../../mod.ts";
import type { Durability } from "../../mod.ts";
import { LARGE_BYTES } from "./context.ts";
import { KeySource } from "./keys.ts";

export const BATCH_ENTRIES = 1000;

/** What is to be written into one family. */
export interface FamilyWork {
  readonly family: string;
  readonly seed: number;
  /** Batches that count, and those before them that do not, while code is being compiled. */
  readonly batches: number;
  readonly warming: number;
  readonly durability: Durability;
}

/** What a thread is given for it. */
export interface FamilyThreadData extends FamilyWork {
  readonly handle: DatabaseHandle;
}

const table = (family: ColumnFamily) => family.table("entries", { key: bytes, value: bytes });

export class FamilyWriter {
  readonly #family: ColumnFamily;
  readonly #work: FamilyWork;
  readonly #keys: Uint8Array[][];
  readonly #value = new Uint8Array(LARGE_BYTES).fill(7);

  private constructor(family: ColumnFamily, work: FamilyWork) {
    this.#family = family;
    this.#work = work;
    const keys = new KeySource(work.seed);
    this.#keys = Array.from(
      { length: work.warming + work.batches },
      () => keys.many(BATCH_ENTRIES),
    );
  }

  /** Makes all keys, and writes what does not count. */
  static async ready(db: Database, work: FamilyWork): Promise<FamilyWriter> {
    const writer = new FamilyWriter(await db.columnFamily(work.family), work);
    await writer.#write(writer.#keys.splice(0, work.warming));
    return writer;
  }

  /** Writes what counts. */
  run(): Promise<void> {
    return this.#write(this.#keys);
  }

  async #write(batches: readonly Uint8Array[][]): Promise<void> {
    const entries = table(this.#family);
    for (const keys of batches) {
      const batch = this.#family.batch();
      for (const key of keys) batch.set(entries, key, this.#value);
      await batch.commit({ durability: this.#work.durability });
    }
  }
}

/** As many entries of 1 KiB in one batch. */
export async function fillFamily(
  db: Database,
  name: string,
  seed: number,
  count: number,
): Promise<void> {
  const value = new Uint8Array(LARGE_BYTES).fill(7);
  const keys = new KeySource(seed).many(count);
  await table(await db.columnFamily(name)).setMany(keys.map((key) => [key, value] as const));
}

/** How many entries are there after all of that. */
export async function writtenEntries(db: Database, family: string): Promise<number> {
  return table(await db.columnFamily(family)).count();
}
