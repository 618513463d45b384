import { join } from "node:path";
import { addOneTo, COUNTER_BYTES, type Entry, type ModuleKind } from "../support/engine.ts";

/** The most mutations that Deno KV takes in one atomic operation are 1000; its bytes are fewer. */
const ATOMIC_ENTRIES = 500;

interface KvEntry {
  readonly key: Uint8Array[];
  readonly value: Uint8Array | null;
  readonly versionstamp: string | null;
}

interface KvAtomic {
  check(entry: KvEntry): KvAtomic;
  set(key: Uint8Array[], value: Uint8Array): KvAtomic;
  delete(key: Uint8Array[]): KvAtomic;
  commit(): Promise<{ ok: boolean }>;
}

/** The part of `Deno.Kv` in use: its types are only there with `--unstable-kv`. */
interface Kv {
  atomic(): KvAtomic;
  set(key: Uint8Array[], value: Uint8Array): Promise<unknown>;
  get(key: Uint8Array[]): Promise<KvEntry>;
  list(
    selector: { prefix: Uint8Array[] } | { start: Uint8Array[]; end: Uint8Array[] },
    options?: { limit?: number; batchSize?: number },
  ): AsyncIterable<{ key: Uint8Array[]; value: Uint8Array }>;
  close(): void;
}

export const denoKv: ModuleKind = {
  name: "kv",
  title: "Deno KV",
  settings: "local, batches of 500 (its limit is below 1,000), a twentieth of the work",
  shrink: 20,
  runtimes: ["deno"],
  async open(dir) {
    const { openKv } = (globalThis as unknown as {
      Deno: { openKv(path: string): Promise<Kv> };
    }).Deno;
    const kv = await openKv(join(dir, "bench.kv"));
    const counters = new TextEncoder().encode("counters");
    const last = [new Uint8Array(25).fill(255)];
    const inAtomics = async <T>(items: readonly T[], add: (atomic: KvAtomic, item: T) => void) => {
      for (let at = 0; at < items.length; at += ATOMIC_ENTRIES) {
        const atomic = kv.atomic();
        for (const item of items.slice(at, at + ATOMIC_ENTRIES)) add(atomic, item);
        await atomic.commit();
      }
    };
    const commit = (entries: readonly Entry[]) =>
      inAtomics(entries, (atomic, [key, value]) => atomic.set([key], value));
    const counter = (key: Uint8Array) => [counters, key];
    const count = async (entries: AsyncIterable<{ value: Uint8Array }>) => {
      let count = 0;
      for await (const { value } of entries) if (value.length > 0) count++;
      return count;
    };
    return {
      load: commit,
      put: async (key, value) => void await kv.set([key], value),
      commit,
      remove: (keys) => inAtomics(keys, (atomic, key) => atomic.delete([key])),
      loadCounters: (keys) =>
        inAtomics(keys, (atomic, key) => atomic.set(counter(key), new Uint8Array(COUNTER_BYTES))),
      async addOne(key) {
        for (;;) {
          const entry = await kv.get(counter(key));
          const value = entry.value!;
          const number = addOneTo(value);
          const { ok } = await kv.atomic().check(entry).set(entry.key, value).commit();
          if (ok) return number;
        }
      },
      get: async (key) => (await kv.get([key])).value![0],
      range10: (key) => count(kv.list({ start: [key], end: last }, { limit: 10 })),
      scan: () => count(kv.list({ prefix: [] }, { batchSize: 500 })),
      close: () => kv.close(),
    };
  },
};
