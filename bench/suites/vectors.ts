/**
 * All vectors read and summed, as a search without an index does it: what it is worth to keep them in a
 * table of their own.
 *
 * @module
 */

import { f32Array, json, u32 } from "../../mod.ts";
import { expectCount, format } from "../support/context.ts";
import { openDatabase } from "../support/manifold.ts";
import { expectSum, measureAll, type Measurement } from "./support/measurement.ts";
import { vectorWithMetadata } from "./support/vector_codec.ts";
import { type Metadata, metadataOf, readVector, vectorOf } from "./support/vector_data.ts";
import type { Suite, SuiteContext } from "./suite.ts";

const VECTORS = 100_000;
const DIM = 384;
const PASSES = 3;
/** Vectors in one transaction while they are loaded. */
const BATCH = 2000;
/** All three tables together are 0.8 GB. */
const CACHE_BYTES = 3 * 2 ** 29;

/** A way through all vectors. */
interface Pass {
  readonly name: string;
  readonly about: string;
  /** Adds up all components of all vectors. */
  sum(tables: Tables): number;
}

type Tables = Awaited<ReturnType<typeof loadTables>>;

async function loadTables({ dir, share }: SuiteContext) {
  const db = await openDatabase(dir, { cacheBytes: CACHE_BYTES });
  const family = await db.columnFamily("vectors");
  const vectors = family.table("vectors", { key: u32, value: f32Array(DIM) });
  const documents = family.table("documents", {
    key: u32,
    value: json<Metadata & { readonly vector: readonly number[] }>(),
  });
  const together = family.table("together", { key: u32, value: vectorWithMetadata(DIM) });
  const count = share(VECTORS);
  let sum = 0;
  for (let from = 0; from < count; from += BATCH) {
    const batch = family.batch();
    for (let number = from; number < Math.min(count, from + BATCH); number++) {
      const vector = vectorOf(number, DIM);
      const metadata = metadataOf(number);
      for (const component of vector) sum += component;
      batch.set(vectors, number, vector);
      batch.set(documents, number, { ...metadata, vector: [...vector] });
      batch.set(together, number, { vector, metadata });
    }
    await batch.commit();
  }
  // What is written to the file while others read would be measured, too.
  await db.checkpoint();
  return { db, vectors, documents, together, count, sum };
}

function addUp(vector: ArrayLike<number>): number {
  let sum = 0;
  for (let i = 0; i < DIM; i++) sum += vector[i];
  return sum;
}

const passes: readonly Pass[] = [
  {
    name: "own_table_scan",
    about: "a table of f32Array, by scan: summed where they lie",
    sum({ vectors }) {
      let sum = 0;
      vectors.scan(undefined, (_key, value) => {
        sum += addUp(readVector(value, DIM));
      });
      return sum;
    },
  },
  {
    name: "own_table_values",
    about: "the same by values(): decoded into memory of the caller's own",
    sum({ vectors }) {
      let sum = 0;
      for (const vector of vectors.values()) sum += addUp(vector);
      return sum;
    },
  },
  {
    name: "with_metadata_scan",
    about: "a table whose values are the vector and then its metadata, about 300 bytes, by scan",
    sum({ together }) {
      let sum = 0;
      together.scan(undefined, (_key, value) => {
        sum += addUp(readVector(value, DIM));
      });
      return sum;
    },
  },
  {
    name: "json_values",
    about: "a table of JSON documents that have the vector as an array, by values()",
    sum({ documents }) {
      let sum = 0;
      for (const { vector } of documents.values()) sum += addUp(vector);
      return sum;
    },
  },
];

const measurements = passes.map(({ name, about, sum }): Measurement<Tables> => ({
  name,
  unit: "ms",
  better: "less",
  about,
  measure(tables) {
    // The first pass does not count: code is being compiled, and pages come into the cache.
    expectSum(name, sum(tables), tables.sum);
    const start = performance.now();
    for (let pass = 0; pass < PASSES; pass++) expectSum(name, sum(tables), tables.sum);
    return (performance.now() - start) / PASSES;
  },
}));

export const vectors: Suite = {
  name: "vectors",
  about: `One pass over ${format(VECTORS)} vectors of ${DIM} floats, all components summed.`,
  engines: ["manifold"],
  rows: measurements,
  async *run(context) {
    const tables = await loadTables(context);
    for (const table of [tables.vectors, tables.documents, tables.together]) {
      expectCount("vectors", table.count(), tables.count);
    }
    yield* measureAll(measurements, tables);
    await tables.db.close();
  },
};
