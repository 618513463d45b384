/**
 * The two meta pages, 4 KiB each, at offsets 0 and 4096. They are written in turn; the newest that
 * verifies is where everything begins.
 *
 * | offset | bytes | field |
 * |---|---|---|
 * | 0 | 9 | magic: `manifdb`, 1A, 0A |
 * | 12 | 4 | format version |
 * | 16 | 16 | uuid of the database |
 * | 32 | 4 | page size |
 * | 36 | 4 | 1 if the database was closed cleanly |
 * | 40 | 8 | generation: counts the meta pages written |
 * | 48 | 8 | salt of the log |
 * | 56 | 8 | log position to recover from |
 * | 64 | 4 | first page of the directory |
 * | 68 | 4 | bytes of the directory |
 * | 72 | 8 | checksum of the directory |
 * | 4088 | 8 | checksum of bytes 0 to 4087 |
 *
 * @module
 */

import { ManifoldError } from "../errors.ts";
import { PAGE_SIZE_MAX, PAGE_SIZE_MIN } from "../tree/page.ts";
import type { Checksum } from "./checksum.ts";
import { COUNT_MAX, getU53, putU53 } from "./bytes.ts";
import type { File } from "./file.ts";

export const META_BYTES = 4096;
export const FORMAT_VERSION = 1;

const MAGIC = new Uint8Array([0x6d, 0x61, 0x6e, 0x69, 0x66, 0x64, 0x62, 0x1a, 0x0a]);
const CHECKSUM_AT = META_BYTES - 8;

export interface Meta {
  uuid: Uint8Array;
  pageSize: number;
  clean: boolean;
  generation: number;
  /** Eight random bytes that mark the log's records of this life. */
  salt: Uint8Array;
  logPosition: number;
  directoryPage: number;
  directoryBytes: number;
  directoryChecksum: Uint8Array;
}

/** The first page that is not occupied by the meta pages. */
export function firstDataPage(pageSize: number): number {
  return Math.max(1, (2 * META_BYTES) / pageSize);
}

export function encodeMeta(meta: Meta, checksum: Checksum): Uint8Array {
  const bytes = new Uint8Array(META_BYTES);
  const view = new DataView(bytes.buffer);
  bytes.set(MAGIC);
  view.setUint32(12, FORMAT_VERSION, true);
  bytes.set(meta.uuid, 16);
  view.setUint32(32, meta.pageSize, true);
  view.setUint32(36, meta.clean ? 1 : 0, true);
  putU53(view, 40, meta.generation);
  bytes.set(meta.salt, 48);
  putU53(view, 56, meta.logPosition);
  view.setUint32(64, meta.directoryPage, true);
  view.setUint32(68, meta.directoryBytes, true);
  bytes.set(meta.directoryChecksum, 72);
  checksum.put(bytes.subarray(0, CHECKSUM_AT), bytes, CHECKSUM_AT);
  return bytes;
}

/** What one meta page says; or why it cannot be used. */
export type MetaReading = { meta: Meta } | {
  problem: "foreign" | "version" | "damaged";
  version?: number;
};

export function decodeMeta(bytes: Uint8Array, checksum: Checksum): MetaReading {
  if (bytes.length < META_BYTES) return { problem: "foreign" };
  for (let i = 0; i < MAGIC.length; i++) if (bytes[i] !== MAGIC[i]) return { problem: "foreign" };
  const view = new DataView(bytes.buffer, bytes.byteOffset, META_BYTES);
  if (!checksum.matches(bytes, CHECKSUM_AT, bytes.subarray(0, CHECKSUM_AT))) {
    return { problem: "damaged" };
  }
  const version = view.getUint32(12, true);
  if (version !== FORMAT_VERSION) return { problem: "version", version };
  const pageSize = view.getUint32(32, true);
  const clean = view.getUint32(36, true);
  const generation = getU53(view, 40);
  const logPosition = getU53(view, 56);
  if (
    pageSize < PAGE_SIZE_MIN || pageSize > PAGE_SIZE_MAX || (pageSize & (pageSize - 1)) !== 0 ||
    clean > 1 || generation === 0 || generation > COUNT_MAX || logPosition > COUNT_MAX
  ) return { problem: "damaged" };
  return {
    meta: {
      uuid: bytes.slice(16, 32),
      pageSize,
      clean: clean === 1,
      generation,
      salt: bytes.slice(48, 56),
      logPosition,
      directoryPage: view.getUint32(64, true),
      directoryBytes: view.getUint32(68, true),
      directoryChecksum: bytes.slice(72, 80),
    },
  };
}

/** Where the meta page of a generation stands: 0 or 4096. */
export function metaOffset(generation: number): number {
  return (generation % 2) * META_BYTES;
}

/**
 * Reads both meta pages and takes the newest that verifies.
 *
 * @throws {ManifoldError} `not-a-database`, `unsupported-version` or `corrupt`.
 */
export function readMeta(file: File, checksum: Checksum): Meta {
  const readings = [0, META_BYTES].map((offset): MetaReading => {
    const bytes = new Uint8Array(META_BYTES);
    const count = file.read(offset, bytes);
    const reading = decodeMeta(bytes.subarray(0, count), checksum);
    // Its successor would be written over the other one's successor.
    const misplaced = "meta" in reading && metaOffset(reading.meta.generation) !== offset;
    return misplaced ? { problem: "damaged" } : reading;
  });
  let newest: Meta | undefined;
  for (const reading of readings) {
    if ("meta" in reading && (!newest || reading.meta.generation > newest.generation)) {
      newest = reading.meta;
    }
  }
  if (newest) return newest;
  for (const reading of readings) {
    if ("problem" in reading && reading.problem === "version") {
      throw new ManifoldError(
        "unsupported-version",
        `${file.path} has format version ${reading.version}, this release reads version ` +
          `${FORMAT_VERSION}; open it with the release that wrote it`,
      );
    }
  }
  if (readings.some((reading) => "problem" in reading && reading.problem === "damaged")) {
    throw new ManifoldError(
      "corrupt",
      `${file.path}: both meta pages (bytes 0 and ${META_BYTES}) are damaged; restore a backup`,
    );
  }
  throw new ManifoldError(
    "not-a-database",
    `${file.path} is not a Manifold database: it does not begin with a meta page; check the path`,
  );
}
