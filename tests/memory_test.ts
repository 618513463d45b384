/**
 * How much memory a process has in use beside the cache it asked for, however much it writes, and however long
 * it reads without returning to its event loop. (On Bun such reads once left garbage by the GiB.)
 */

import { join } from "node:path";
import { assertEquals, assertLess } from "./support/assert.ts";
import { runScript, thisRuntime } from "./support/child.ts";
import { withTempDir } from "./support/temp.ts";
import { test } from "./support/test.ts";

const DATA_MIB = 300;
/** The constants that docs/design.md states. */
const BESIDE_CACHE_MIB = thisRuntime === "bun" ? 300 : 200;

for (const cacheMiB of [8, 64]) {
  test(`memory: ${DATA_MIB} MiB through a cache of ${cacheMiB} keep to it and a constant`, {
    timeoutMs: 300_000,
  }, () =>
    withTempDir(async (dir) => {
      const script = new URL("./support/memory_child.ts", import.meta.url);
      const args = [join(dir, "large.manifold"), String(cacheMiB), String(DATA_MIB)];
      const [entries, grown] = (await runScript("self", script, args)).slice(-2);
      assertEquals(entries, `entries ${DATA_MIB * 1000}`);
      assertLess(Number(grown.split(" ")[1]), cacheMiB + BESIDE_CACHE_MIB);
    }));
}
