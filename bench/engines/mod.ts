import type { EngineKind, ModuleKind } from "../support/engine.ts";
import { denoKv } from "./deno_kv.ts";
import { lmdb } from "./lmdb.ts";
import { manifold } from "./manifold.ts";
import { nativeKinds } from "./native.ts";
import { sqlite } from "./sqlite.ts";

/** The engines that a process of this runtime opens, in the order of their columns. */
export const moduleKinds: readonly ModuleKind[] = [manifold, lmdb, sqlite, denoKv];

/** All engines. */
export const engineKinds: readonly EngineKind[] = [...moduleKinds, ...nativeKinds];
