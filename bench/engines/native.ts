import { nativeProgram } from "../native/build.ts";
import type { ProgramKind } from "../support/engine.ts";
import { headerVersion } from "./versions.ts";

/** Peers without a runtime between them and the disk, see `native/`. */
export const nativeKinds: readonly ProgramKind[] = [
  {
    name: "rocksdb",
    title: "RocksDB",
    get settings() {
      const version = headerVersion("rocksdb/version.h", "ROCKSDB_");
      return `C++ ${version}, sync: true, Bloom filter, block cache 1 GiB; loads around its log, ` +
        "then flushes";
    },
    shrink: 1,
    runtimes: ["deno", "bun"],
    program: nativeProgram,
  },
  {
    name: "lmdb-c",
    title: "LMDB",
    get settings() {
      const version = headerVersion("lmdb.h", "MDB_VERSION_");
      return `C ${version}, every commit synced, one read transaction; ranges of ten are not copied`;
    },
    shrink: 1,
    runtimes: ["deno", "bun"],
    program: nativeProgram,
  },
];
