/**
 * Damage in the middle of the log: told from a torn tail, and told to people.
 *
 * Invariant: a bad place behind which a valid record says that the log was durable beyond it is damage; any
 * other is where the log ends. Damage in the batch synced last cannot be told from a tear.
 *
 * @module
 */

import { ManifoldError } from "../errors.ts";
import type { LogReader } from "./log_file.ts";
import {
  alignRecord,
  readRecordHeader,
  RECORD_ALIGNMENT,
  RECORD_HEADER_BYTES,
  RECORD_MAGIC,
  recordParts,
} from "./record.ts";
import { type LogScan, readRecord, type ScanOptions } from "./recovery_scan.ts";

/** What a log has behind a place that is damaged. */
export interface LogDamage {
  /** How it is known to be damage. */
  readonly why: string;
  /** Records behind it that can be read. */
  readonly records: number;
  /** For each family that those records change: the first version that is lost, and the last that is known of. */
  readonly families: ReadonlyMap<number, { first: number; last: number }>;
}

/**
 * How many times its own length a log is read in the search for records: a sound one is read once, and one that is made
 * of beginnings of records must not take hours.
 */
const READS_MAX = 8;

/** What lies behind the end of a scan, if it should not; `gap` says that something is missing before the end. */
export function findDamage(
  log: LogReader,
  from: number,
  scan: Omit<LogScan, "damage">,
  gap: string | undefined,
  options: ScanOptions,
): LogDamage | undefined {
  const { end } = scan;
  const { path, salt, checksum } = options;
  const last = from + log.capacity - RECORD_HEADER_BYTES;
  const families = new Map<number, { first: number; last: number }>();
  let why = gap;
  let records = 0;
  let readBytes = 0;
  let position = gap === undefined ? end + RECORD_ALIGNMENT : end;
  for (;;) {
    position = log.findWord(RECORD_MAGIC, position, last, RECORD_ALIGNMENT);
    if (position < 0) break;
    const header = readRecordHeader(log.read(position, RECORD_HEADER_BYTES), position, salt);
    if (header !== undefined) readBytes += Math.min(header.length, log.capacity);
    if (readBytes > READS_MAX * log.capacity) {
      throw new ManifoldError(
        "corrupt",
        `${path}: behind position ${end} the log is made of broken records; restore a backup`,
      );
    }
    const record = header && readRecord(log, position, salt, checksum);
    if (record === undefined) {
      position += RECORD_ALIGNMENT;
      continue;
    }
    records++;
    const { durable, length } = record.header;
    if (durable > end) {
      why ??= `a record behind it, at ${position}, says that the log was durable up to ${durable}`;
    }
    for (const { family, version } of recordParts(record.bytes, record.header, path)) {
      const lost = families.get(family);
      if (lost !== undefined) lost.last = Math.max(lost.last, version);
      else {families.set(family, {
          first: firstLost(family, version, scan, options),
          last: version,
        });}
    }
    position += alignRecord(length);
  }
  return why === undefined ? undefined : { why, records, families };
}

/** The version after the last that is known to be there, or the first that is found behind the damage. */
function firstLost(
  family: number,
  found: number,
  scan: Omit<LogScan, "damage">,
  options: ScanOptions,
): number {
  const there = Math.max(
    scan.families.get(family)?.last ?? 0,
    options.contained?.(family) ?? 0,
  );
  return there === 0 ? found : Math.min(found, there + 1);
}

/** Families that a message lists; the text of a failure is short. */
const FAMILIES_LISTED = 4;

/** The error for a damaged log whose loss was not accepted. `nameOf` knows the names of families that the file has. */
export function damageError(
  path: string,
  scan: LogScan,
  damage: LogDamage,
  nameOf: (family: number) => string | undefined,
): ManifoldError {
  const lost = [...damage.families].slice(0, FAMILIES_LISTED).map(([id, { first, last }]) => {
    const name = scan.families.get(id)?.name ?? nameOf(id);
    const family = name === undefined ? `family ${id}` : `column family "${shortened(name)}"`;
    return `versions ${first} to ${last} of ${family}`;
  });
  const more = damage.families.size - lost.length;
  if (more > 0) lost.push(`versions of ${more} more`);
  const behind = damage.records === 0
    ? "no record behind it can be read"
    : `${damage.records} records behind it can be read; lost would be ${lost.join(", ")}`;
  return new ManifoldError(
    "corrupt",
    `${path}: the log is damaged at position ${scan.end}: ${damage.why}. Everything from there on would be ` +
      `lost: ${behind}. Put a sound log back, restore a backup, or open with acceptLogLoss: true to go ` +
      "on without it",
  );
}

function shortened(name: string): string {
  return name.length > 40 ? `${name.slice(0, 40)}…` : name;
}
