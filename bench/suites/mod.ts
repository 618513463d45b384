import { callers } from "./callers.ts";
import { growth } from "./growth.ts";
import { mixed } from "./mixed.ts";
import { reads } from "./reads.ts";
import { removals } from "./removals.ts";
import type { Suite } from "./suite.ts";
import { values } from "./values.ts";
import { vectors } from "./vectors.ts";

/** All suites, in the order in which they run. */
export const suites: readonly Suite[] = [
  callers,
  reads,
  values,
  mixed,
  removals,
  vectors,
  growth,
];
