/**
 * The tree by itself, on pages in memory: `deno bench -A bench/tree_bench.ts`. 100,000 random keys of
 * 24 bytes, values of 150. A call is one operation.
 *
 * @module
 */

import { find, Hit } from "../lib/tree/find.ts";
import { insert } from "../lib/tree/insert.ts";
import { TreeRoot } from "../lib/tree/root.ts";
import { MemoryPager } from "../tests/support/memory_pager.ts";
import { KEY_BYTES, KeySource } from "./support/keys.ts";

const ENTRIES = 100_000;
const STRIDE = 7919;

const source = new KeySource();
const keys = source.many(ENTRIES);
const absent = source.many(ENTRIES);
const value = new Uint8Array(150).fill(7);

function put(pager: MemoryPager, root: TreeRoot, key: Uint8Array): void {
  insert(pager, root, key, 0, KEY_BYTES, value, 0, value.length, false);
}

/** Room for all pages at half fill. */
function newPager(pageSize: number): MemoryPager {
  return new MemoryPager({ pageSize, frames: Math.ceil(ENTRIES * 420 / pageSize) });
}

for (const pageSize of [4096, 8192, 16384]) {
  const pager = newPager(pageSize);
  const root = new TreeRoot();
  for (const key of keys) put(pager, root, key);
  const group = `${pageSize / 1024} KiB pages, ${root.height} levels`;
  const hit = new Hit();
  let next = 0;

  Deno.bench("find, there", { group }, () => {
    next = (next + STRIDE) % ENTRIES;
    if (!find(pager, root, keys[next], 0, KEY_BYTES, hit)) throw new Error("a key is lost");
  });

  Deno.bench("find, not there", { group }, () => {
    next = (next + STRIDE) % ENTRIES;
    if (find(pager, root, absent[next], 0, KEY_BYTES, hit)) throw new Error("a key is too many");
  });

  Deno.bench("insert, replacing", { group }, () => {
    next = (next + STRIDE) % ENTRIES;
    put(pager, root, keys[next]);
  });

  let growing = newPager(pageSize);
  let grown = new TreeRoot();
  Deno.bench("insert, new", { group }, () => {
    if (grown.count === ENTRIES) {
      growing = newPager(pageSize);
      grown = new TreeRoot();
    }
    put(growing, grown, keys[grown.count]);
  });
}
