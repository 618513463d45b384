/**
 * The serial pass over the log that a recovery begins with: which records count, and what they mean
 * for each family.
 *
 * Invariants: a record counts only if its position, salt and checksum are right; a bad place behind
 * which a valid record says "durable beyond" is damage, not a torn tail; a record of a later
 * checkpoint generation than the meta page chosen means that a newer meta page was lost.
 *
 * @module
 */

import {
  OP_CREATE_FAMILY,
  OP_DROP_FAMILY,
  operationMemory,
  OperationReader,
} from "./operations.ts";
import { ManifoldError } from "../errors.ts";
import { decodeText } from "../memory/utf8.ts";
import type { Checksum } from "../storage/checksum.ts";
import type { LogReader } from "./log_file.ts";
import {
  alignRecord,
  readRecordHeader,
  RECORD_ALIGNMENT,
  RECORD_HEADER_BYTES,
  RECORD_MAGIC,
  type RecordHeader,
  recordParts,
  recordVerifies,
} from "./record.ts";

/** What the log says of one family. */
export interface FamilyInLog {
  /** Lowest and highest version among its records. */
  first: number;
  last: number;
  /** The name, if the log has its creation. */
  name?: string;
  dropped: boolean;
}

export interface LogScan {
  /** Position behind the last record that counts. */
  readonly end: number;
  readonly records: number;
  readonly families: ReadonlyMap<number, FamilyInLog>;
}

export interface ScanOptions {
  readonly path: string;
  readonly salt: Uint8Array;
  /** Generation of the chosen meta page. */
  readonly generation: number;
  readonly checksum: Checksum;
}

/**
 * A record that counts: its header and bytes, valid until the next read. Without `checksum`, one that
 * is known to verify.
 */
export function readRecord(
  reader: LogReader,
  position: number,
  salt: Uint8Array,
  checksum: Checksum | undefined,
): { header: RecordHeader; bytes: Uint8Array } | undefined {
  const header = readRecordHeader(
    reader.read(position, RECORD_HEADER_BYTES),
    position,
    salt,
  );
  if (
    header === undefined || header.length < RECORD_HEADER_BYTES || header.length > reader.capacity
  ) return undefined;
  const bytes = reader.read(position, header.length);
  if (bytes.length < header.length) return undefined;
  if (checksum !== undefined && !recordVerifies(bytes, checksum)) return undefined;
  return { header, bytes };
}

/** @throws {ManifoldError} `corrupt`. */
export function scanLog(reader: LogReader, from: number, options: ScanOptions): LogScan {
  const families = new Map<number, FamilyInLog>();
  const { path, salt, checksum } = options;
  let position = from;
  let records = 0;
  for (;;) {
    if (position - from > reader.capacity) {
      throw new ManifoldError(
        "corrupt",
        `${path}: the log goes round in a circle; restore a backup`,
      );
    }
    const record = readRecord(reader, position, salt, checksum);
    if (record === undefined) break;
    const { header, bytes } = record;
    if (header.generation > options.generation) {
      throw new ManifoldError(
        "corrupt",
        `${path}: the log's record at position ${position} was written after checkpoint ` +
          `${header.generation}, but the newest meta page that can be read is of ${options.generation}; ` +
          `restore a backup`,
      );
    }
    noteParts(bytes, header, families, position, path);
    records++;
    position += alignRecord(header.length);
  }
  probeBehind(reader, from, position, options);
  return { end: position, records, families };
}

const reader = new OperationReader();

function noteParts(
  bytes: Uint8Array,
  header: RecordHeader,
  families: Map<number, FamilyInLog>,
  position: number,
  path: string,
): void {
  for (const part of recordParts(bytes, header)) {
    let family = families.get(part.family);
    if (family === undefined) {
      family = { first: part.version, last: part.version - 1, dropped: false };
      families.set(part.family, family);
    }
    if (part.version <= family.last) {
      throw new ManifoldError(
        "corrupt",
        `${path}: the log's record at position ${position} makes version ${part.version} of family ` +
          `${part.family}, which comes after version ${family.last}; restore a backup`,
      );
    }
    family.last = part.version;
    // The making and the deletion of a family are the only operation of their part.
    const kind = part.to > part.from ? bytes[part.from] : 0;
    if (kind === OP_DROP_FAMILY) {
      family.dropped = true;
    } else if (kind === OP_CREATE_FAMILY) {
      const copy = bytes.slice(part.from, part.to);
      reader.begin(operationMemory(copy), 0, copy.length);
      reader.next();
      family.name = decodeText(reader.value());
    }
  }
}

/** Looks behind the end for records that would have to be there no more. */
function probeBehind(log: LogReader, from: number, end: number, options: ScanOptions): void {
  const last = from + log.capacity - RECORD_HEADER_BYTES;
  let position = end;
  for (;;) {
    position = log.findWord(RECORD_MAGIC, position + RECORD_ALIGNMENT, last, RECORD_ALIGNMENT);
    if (position < 0) return;
    const header = readRecordHeader(
      log.read(position, RECORD_HEADER_BYTES),
      position,
      options.salt,
    );
    if (header === undefined || header.durable <= end) continue;
    if (readRecord(log, position, options.salt, options.checksum) === undefined) continue;
    throw new ManifoldError(
      "corrupt",
      `${options.path}: the log is damaged at position ${end}: a record behind it, at ${position}, says ` +
        `that the log was durable up to ${header.durable}. Everything from ${end} on would be lost; ` +
        `restore a backup`,
    );
  }
}
