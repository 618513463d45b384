/** How much memory a process has in use beside the cache it asked for. */

import { join } from "node:path";
import { assertEquals, assertLess } from "./support/assert.ts";
import { runScript, thisRuntime } from "./support/child.ts";
import { withTempDir } from "./support/temp.ts";
import { test } from "./support/test.ts";

const CACHE_MIB = 8;
const DATA_MIB = 100;
/** The constants that docs/design.md states. */
const BESIDE_CACHE_MIB = thisRuntime === "bun" ? 640 : 256;

test("memory: a database of twelve times its cache keeps to the cache and a constant", async () => {
  await withTempDir(async (dir) => {
    const script = new URL("./support/memory_child.ts", import.meta.url);
    const args = [join(dir, "large.manifold"), String(CACHE_MIB), String(DATA_MIB)];
    const [entries, grown] = (await runScript("self", script, args)).slice(-2);
    assertEquals(entries, `entries ${DATA_MIB * 1000}`);
    assertLess(Number(grown.split(" ")[1]), CACHE_MIB + BESIDE_CACHE_MIB);
  });
});
