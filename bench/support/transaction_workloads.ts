/**
 * The workloads of transactions on counters.
 *
 * @module
 */

import { callAll, COUNTERS, format, HOT_CALLERS, STRIDE, type Workload } from "./context.ts";
import type { Engine } from "./engine.ts";

/** Transactions go on before that for a part of this, which does not count: while their code is being compiled. */
const WARMING = 3;

/** Callers that each await one transaction after the other, on keys of which no two are in flight at once. */
function transactions(
  name: string,
  count: number,
  about: string,
  transactionOf: (engine: Engine) => Engine["addOne"] = (engine) => engine.addOne,
): Workload {
  return {
    name,
    unit: "transactions",
    about,
    supports: (engine) => transactionOf(engine) !== undefined,
    async run(context) {
      const { engine, callersMs } = context;
      const transact = transactionOf(engine)!;
      const choice = await context.counters();
      const inFlight = new Uint8Array(choice.length);
      const numbers = new Map<number, number>();
      let done = 0;
      let next = 0;
      const call = async (end: number) => {
        while (performance.now() < end) {
          do next = (next + STRIDE) % choice.length; while (inFlight[next] === 1);
          const own = next;
          inFlight[own] = 1;
          const number = await transact(choice[own]);
          inFlight[own] = 0;
          const before = numbers.get(own);
          if (before !== undefined && number !== before + 1) throw new Error(`${name}: lost one`);
          numbers.set(own, number);
          done++;
        }
      };
      await callAll(count, callersMs / WARMING, call);
      done = 0;
      const seconds = await callAll(count, callersMs, call);
      return done / seconds;
    },
  };
}

function joint(families: 1 | 2): Workload {
  return transactions(
    `joint_${families}`,
    1,
    `as rmw_1, each in two tables, of ${families === 1 ? "one column family" : "two families"}`,
    ({ addOneToTwo }) => addOneToTwo && ((key) => addOneToTwo(key, families)),
  );
}

export const transactionWorkloads: readonly Workload[] = [
  transactions(
    "rmw_1",
    1,
    `one caller, one durable read-modify-write after the other, of ${format(COUNTERS)} counters`,
  ),
  transactions(
    "rmw_256",
    256,
    `256 callers in one thread, each awaiting one after the other, on different counters`,
  ),
  {
    name: "rmw_hot",
    unit: "transactions",
    about: `${HOT_CALLERS} callers, each awaiting one after the other, all on one counter`,
    supports: (engine) => engine.addOne !== undefined,
    async run(context) {
      const { engine, callersMs } = context;
      const [hot] = await context.counters();
      const latencies: number[] = [];
      const numbers = new Set<number>();
      const call = async (end: number) => {
        for (let begun = performance.now(); begun < end;) {
          numbers.add(await engine.addOne!(hot));
          const now = performance.now();
          latencies.push(now - begun);
          begun = now;
        }
      };
      await callAll(HOT_CALLERS, callersMs / WARMING, call);
      numbers.clear();
      latencies.length = 0;
      const seconds = await callAll(HOT_CALLERS, callersMs, call);
      if (numbers.size !== latencies.length) throw new Error("rmw_hot: lost some");
      latencies.sort((a, b) => a - b);
      return {
        opsPerSecond: latencies.length / seconds,
        evenness: latencies[latencies.length >> 1] / latencies.at(-1)!,
      };
    },
  },
  joint(1),
  joint(2),
];
