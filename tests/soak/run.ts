/**
 * Starts a soak in a process of its own.
 *
 * @module
 */

import { join } from "node:path";
import { type RuntimeName, spawnScript } from "../support/child.ts";
import { withTempDir } from "../support/temp.ts";

/**
 * Soaks for `seconds`, with a look every `every` seconds; `say` is given each line that it prints.
 * Throws when something is wrong.
 */
export async function soak(
  runtime: RuntimeName,
  seconds: number,
  every: number,
  say: (line: string) => void,
): Promise<void> {
  await withTempDir(async (dir) => {
    const script = new URL("./soak_child.ts", import.meta.url);
    const child = spawnScript(
      runtime,
      script,
      [join(dir, "soak.manifold"), String(seconds), String(every)],
      {
        // Garbage is collected before memory is looked at, and the C library, which keeps what each
        // thread once needed, has one arena for all of them.
        permissions: ["-A", "--v8-flags=--expose-gc"],
        env: { MALLOC_ARENA_MAX: "1" },
      },
    );
    try {
      child.closeInput();
      for await (const line of child.lines) say(line);
      const { code, signal } = await child.exited;
      if (code === 0) return;
      throw new Error(`the soak ended (code ${code}, signal ${signal}): ${child.stderr()}`);
    } finally {
      child.kill("SIGKILL");
    }
  });
}
