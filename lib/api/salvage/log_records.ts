/**
 * The records of a damaged log that can still be read, in their order.
 *
 * @module
 */

import { ManifoldError } from "../../errors.ts";
import { LOG_HEADER_BYTES, type LogHeader, LogReader, readLogHeader } from "../../log/log_file.ts";
import {
  alignRecord,
  readRecordHeader,
  RECORD_ALIGNMENT,
  RECORD_HEADER_BYTES,
  RECORD_MAGIC,
} from "../../log/record.ts";
import { readRecord } from "../../log/recovery_scan.ts";
import { equalBytes, getU53 } from "../../storage/bytes.ts";
import type { Checksum } from "../../storage/checksum.ts";
import type { File } from "../../storage/file.ts";
import type { Meta } from "../../storage/meta.ts";
import type { SalvageNotes } from "./report.ts";

/** Where the records are that are to be applied. */
export interface DamagedLog {
  readonly reader: LogReader;
  readonly salt: Uint8Array;
  readonly positions: readonly number[];
}

/**
 * Finds the records that follow the checkpoint of `meta`, or all of them if there is no telling;
 * undefined if there is nothing to be applied. `certain`: the meta page is the newest.
 */
export function findRecords(
  log: File | undefined,
  logPath: string,
  meta: Meta | undefined,
  certain: boolean,
  checksum: Checksum,
  notes: SalvageNotes,
): DamagedLog | undefined {
  const lost = (message: string, position?: number): void =>
    notes.lost({ kind: "log", message, ...(position === undefined ? {} : { position }) });
  const isNeeded = meta === undefined || !meta.clean;
  if (log === undefined) {
    if (!isNeeded && certain) return undefined;
    notes.log = "missing";
    // A clean meta page that may not be the newest: perhaps nothing was written after it.
    const unless = certain ? "" : ", unless the database was closed cleanly";
    if (isNeeded) {
      lost(`${logPath} is missing: commits after the last checkpoint are lost${unless}`);
    }
    return undefined;
  }
  let header: LogHeader | undefined;
  try {
    header = readLogHeader(log, checksum);
  } catch (error) {
    if (!(error instanceof ManifoldError)) throw error;
    if (!isNeeded && certain) return undefined;
    notes.log = "damaged";
    lost(error.message, 0);
    if (meta === undefined || meta.clean) return undefined;
  }
  const isOurs = header === undefined || meta === undefined ||
    equalBytes(header.uuid, meta.uuid);
  const isOfMeta = header === undefined || meta === undefined ||
    equalBytes(header.salt, meta.salt);
  // A log that was begun after the newest meta page that can be read.
  const follows = isOurs && header !== undefined && meta !== undefined && !isOfMeta &&
    header.generation >= meta.generation;
  if (!isOurs || (!isOfMeta && !follows)) {
    if (!isNeeded && certain) return undefined;
    notes.log = "foreign";
    if (isNeeded) lost(`${logPath} is the log of another database, or of another time`);
    return undefined;
  }
  if (meta?.clean === true && !follows) return undefined;
  const salt = header?.salt ?? meta!.salt;
  // Of a log without a header: what was written of its first lap, or all of it.
  const capacity = header?.capacity ?? Math.max(RECORD_ALIGNMENT, log.size() - LOG_HEADER_BYTES);
  const reader = new LogReader(log, capacity);
  // Behind an older checkpoint's position the newer one has let records be written over.
  const from = meta === undefined || follows || !certain ? undefined : meta.logPosition;
  const positions = from === undefined
    ? allPositions(reader, salt, checksum)
    : positionsFrom(reader, from, salt, checksum);
  if (notes.log === "not-needed") notes.log = "used";
  reportGaps(reader, positions, salt, from, (message, position) => {
    notes.log = "damaged";
    lost(`${logPath}: ${message}`, position);
  });
  return { reader, salt, positions };
}

/** Records from a position on, those behind damage included, if they prove that it is not a torn end. */
function positionsFrom(
  reader: LogReader,
  from: number,
  salt: Uint8Array,
  checksum: Checksum,
): number[] {
  const positions: number[] = [];
  let position = from;
  const end = from + reader.capacity;
  const follow = (): void => {
    while (position < end) {
      const record = readRecord(reader, position, salt, checksum);
      if (record === undefined) return;
      positions.push(position);
      position += alignRecord(record.header.length);
    }
  };
  follow();
  for (;;) {
    const bad = position;
    const behind: number[] = [];
    let proven = false;
    for (let at = bad + RECORD_ALIGNMENT; at <= end - RECORD_HEADER_BYTES;) {
      at = reader.findWord(RECORD_MAGIC, at, end - RECORD_HEADER_BYTES, RECORD_ALIGNMENT);
      if (at < 0) break;
      const record = readRecord(reader, at, salt, checksum);
      if (record === undefined) {
        at += RECORD_ALIGNMENT;
        continue;
      }
      behind.push(at);
      if (record.header.durable > bad) proven = true;
      at += alignRecord(record.header.length);
    }
    if (proven) positions.push(...behind);
    return positions;
  }
}

/** All records of a life that the ring has, oldest first. */
function allPositions(reader: LogReader, salt: Uint8Array, checksum: Checksum): number[] {
  const positions: number[] = [];
  const last = reader.capacity - RECORD_HEADER_BYTES;
  for (let at = 0; at <= last; at += RECORD_ALIGNMENT) {
    at = reader.findWord(RECORD_MAGIC, at, last, RECORD_ALIGNMENT);
    if (at < 0) break;
    const bytes = reader.read(at, RECORD_HEADER_BYTES);
    const view = new DataView(bytes.buffer, bytes.byteOffset, RECORD_HEADER_BYTES);
    const position = getU53(view, 8);
    if (!Number.isSafeInteger(position) || position % reader.capacity !== at) continue;
    if (readRecordHeader(bytes, position, salt) === undefined) continue;
    if (readRecord(reader, position, salt, checksum) !== undefined) positions.push(position);
  }
  return positions.sort((a, b) => a - b);
}

function reportGaps(
  reader: LogReader,
  positions: readonly number[],
  salt: Uint8Array,
  from: number | undefined,
  report: (message: string, position: number) => void,
): void {
  let next = from ?? positions[0] ?? 0;
  for (const position of positions) {
    if (position !== next) {
      report(
        `bytes from position ${next} to ${position} cannot be used: their commits are lost`,
        next,
      );
    }
    const record = readRecord(reader, position, salt, undefined);
    next = position + alignRecord(record?.header.length ?? RECORD_ALIGNMENT);
  }
}
