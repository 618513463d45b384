/**
 * The runtime that this code runs on: the only place that tells Deno from Bun from Node.
 *
 * @module
 */

import { denoRuntime } from "./deno_files.ts";
import { nodeRuntime } from "./node_files.ts";
import type { Runtime } from "./types.ts";

/** Where we are. */
export const runtime: Runtime = "Deno" in globalThis ? denoRuntime : nodeRuntime;
