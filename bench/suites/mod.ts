import { callers } from "./callers.ts";
import { families } from "./families.ts";
import { growth } from "./growth.ts";
import { memory } from "./memory.ts";
import { mixed } from "./mixed.ts";
import { opening } from "./opening.ts";
import { reads } from "./reads.ts";
import { removals } from "./removals.ts";
import type { Suite } from "./suite.ts";
import { values } from "./values.ts";
import { vectors } from "./vectors.ts";

/** All suites, in the order in which they run. */
export const suites: readonly Suite[] = [
  callers,
  families,
  opening,
  memory,
  reads,
  values,
  mixed,
  removals,
  vectors,
  growth,
];
