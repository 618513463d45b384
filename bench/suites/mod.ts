import { callers } from "./callers.ts";
import { families } from "./families.ts";
import { memory } from "./memory.ts";
import { opening } from "./opening.ts";
import type { Suite } from "./suite.ts";

/** All suites, in the order in which they run. */
export const suites: readonly Suite[] = [callers, families, opening, memory];
