import type { EngineKind } from "../support/engine.ts";
import { denoKv } from "./deno_kv.ts";
import { lmdb } from "./lmdb.ts";
import { manifold } from "./manifold.ts";
import { sqlite } from "./sqlite.ts";

/** All engines, in the order of the columns. */
export const engineKinds: readonly EngineKind[] = [manifold, lmdb, sqlite, denoKv];
