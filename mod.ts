/**
 * Manifold: an embedded, ordered, transactional key-value database for Deno and Bun.
 *
 * @example
 * ```ts
 * import { json, openInMemory, text } from "@manifold/db";
 *
 * interface Profile {
 *   name: string;
 *   visits: number;
 * }
 *
 * await using db = await openInMemory();
 * const users = await db.columnFamily("users");
 * const profiles = users.table("profiles", { key: text, value: json<Profile>() });
 *
 * await profiles.set("ada", { name: "Ada", visits: 1 }); // resolves when durable
 * console.log(profiles.get("ada")); // synchronous
 * ```
 *
 * @module
 */

export { Batch } from "./lib/api/batch.ts";
export { BatchMultimap } from "./lib/api/batch_multimap.ts";
export type { Codec, CodecValue } from "./lib/api/codec.ts";
export { Change, type ChangesOptions, type KeptChangesStats } from "./lib/api/changes.ts";
export { ByteWriter } from "./lib/api/codec_writer.ts";
export {
  bool,
  bytes,
  f32Array,
  f64,
  i32,
  i64,
  json,
  text,
  tuple,
  u32,
  u64,
} from "./lib/api/codecs/mod.ts";
export { ColumnFamily, type TableOptions } from "./lib/api/column_family.ts";
export {
  type ColumnFamilyOptions,
  type CreateColumnFamilyOptions,
  Database,
  type DatabaseSettings,
  type ProgressOptions,
} from "./lib/api/database.ts";
export { EntryIterator } from "./lib/api/entry_iterator.ts";
export { attach, open, openInMemory } from "./lib/api/open.ts";
export type {
  InMemoryOptions,
  OpenOptions,
  RecoveryProgress,
  SpawnWorker,
} from "./lib/api/open_options.ts";
export { Multimap, type MultimapOptions } from "./lib/api/multimap.ts";
export { MultimapReader } from "./lib/api/multimap_reader.ts";
export { TransactionTable } from "./lib/api/overlay_table.ts";
export type { KeyPrefix, Range } from "./lib/api/range.ts";
export type { SalvageLoss, SalvageOptions, SalvageReport } from "./lib/api/salvage/report.ts";
export { salvage } from "./lib/api/salvage/salvage.ts";
export type {
  CheckpointSettings,
  DatabaseHandle,
  Durability,
  WriteOptions,
} from "./lib/api/session.ts";
export { Snapshot } from "./lib/api/snapshot.ts";
export type {
  CacheStats,
  DatabaseStats,
  Durations,
  FamilyStats,
  GroupSize,
  HeldVersion,
} from "./lib/api/stats.ts";
export { type SetManyOptions, Table } from "./lib/api/table.ts";
export { TableReader, type TableStats } from "./lib/api/table_reader.ts";
export { type Savepoint, Transaction, type TransactionOptions } from "./lib/api/transaction.ts";
export { TransactionMultimap } from "./lib/api/transaction_multimap.ts";
export type { ChangeGap, TableChange, WatchOptions } from "./lib/api/watch.ts";
export type { VerifyFinding, VerifyOptions, VerifyReport } from "./lib/api/verify/report.ts";
export { type ErrorCode, ManifoldError } from "./lib/errors.ts";
export type { WorkerHandle } from "./lib/runtime/workers.ts";
