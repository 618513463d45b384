import { nativeProgram } from "../native/build.ts";
import type { ProgramKind } from "../support/engine.ts";

/** Peers without a runtime between them and the disk, see `native/`. */
export const nativeKinds: readonly ProgramKind[] = [
  {
    name: "rocksdb",
    title: "RocksDB",
    settings:
      "C++, sync: true, Bloom filter, block cache 1 GiB; loads around its log, then flushes",
    shrink: 1,
    runtimes: ["deno", "bun"],
    program: nativeProgram,
  },
  {
    name: "lmdb-c",
    title: "LMDB",
    settings: "C, every commit synced, one read transaction; ranges of ten are not copied",
    shrink: 1,
    runtimes: ["deno", "bun"],
    program: nativeProgram,
  },
];
