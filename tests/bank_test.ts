/**
 * Protects what transactions, batches and snapshots over several families promise together: a bank across
 * three families, money that four threads move between them, a reader that sums everything in snapshots of the database,
 * and kills in between. The sum never changes, no step is there in one family and not in another, and no
 * acknowledged one is lost. MANIFOLD_BANK_KILLS makes it longer.
 */

import process from "node:process";
import { assert, assertEquals, assertGreater, assertGreaterOrEqual } from "./support/assert.ts";
import { spawnScript, thisRuntime } from "./support/child.ts";
import { BANK_THREADS } from "./support/family_bank.ts";
import { Random } from "./support/random.ts";
import { withTempDir } from "./support/temp.ts";
import { test } from "./support/test.ts";

const KILLS = Number(process.env.MANIFOLD_BANK_KILLS || 8);
const script = new URL("./support/bank_child.ts", import.meta.url);

test(
  `bank: the sum over three families never changes, nor by ${KILLS} kills`,
  { timeoutMs: 60_000 + KILLS * 15_000 },
  () =>
    withTempDir(async (dir) => {
      const random = Random.fromEnvironment("bank");
      const known = new Array<number>(BANK_THREADS).fill(0);
      let looks = 0;
      let steps = 0;
      for (let kill = 0; kill <= KILLS; kill++) {
        const workers = 1 + kill % 3;
        const args = [`${dir}/bank.manifold`, String(workers), String(random.int(2 ** 30))];
        const child = spawnScript(thisRuntime, script, args);
        try {
          const { value: line } = await child.lines.next();
          const found = /^found (.*)$/.exec(line ?? "");
          assert(found !== null, `the child says ${line}: ${child.stderr()}`);
          for (const [thread, step] of (JSON.parse(found[1]) as number[]).entries()) {
            assertGreaterOrEqual(step, known[thread], `a step of thread ${thread} is lost`);
            known[thread] = step;
          }
          let enough = kill === KILLS ? 1 : 40 + random.int(160);
          for await (const said of child.lines) {
            const [what, first, second] = said.split(" ");
            if (what === "looked") looks += 50;
            else {
              known[Number(first)] = Number(second);
              steps++;
              if (--enough === 0) child.kill("SIGKILL");
            }
          }
          assertEquals((await child.exited).signal, "SIGKILL", child.stderr());
        } finally {
          child.kill("SIGKILL");
        }
      }
      console.log(`bank: ${KILLS} kills, ${steps} transfers and steps, ${looks} snapshots`);
      assertGreater(looks, 0);
    }),
);
