import { callers } from "./callers.ts";
import { mixed } from "./mixed.ts";
import { reads } from "./reads.ts";
import { removals } from "./removals.ts";
import type { Suite } from "./suite.ts";

/** All suites, in the order in which they run. */
export const suites: readonly Suite[] = [
  callers,
  reads,
  mixed,
  removals,
];
