/**
 * Files that somebody made to hurt: their checksums are right, what they say is not.
 *
 * Every function returns changed copies of a whole file's bytes, so that changes can follow one another.
 *
 * @module
 */

import { firstDataPage, type Meta, metaOffset, readMeta } from "../../lib/storage/meta.ts";
import { encodeMeta } from "../../lib/storage/meta.ts";
import type { Checksum } from "../../lib/storage/checksum.ts";
import { decodeDirectory, type Directory, encodeDirectory } from "../../lib/storage/directory.ts";
import { encodeLogHeader, type LogHeader, readLogHeader } from "../../lib/log/log_file.ts";
import { RecordBuilder, type RecordLife } from "../../lib/log/record.ts";
import type { Chunk } from "../../lib/memory/arena.ts";
import { cellAt } from "../../lib/tree/cell.ts";
import { CHECKSUM_BYTES, HEADER_BYTES, WORD_KIND, WORD_TABLE } from "../../lib/tree/page.ts";
import { MemoryFile } from "./local_family.ts";

/** Takes files apart and puts them together again. */
export class Forger {
  readonly #checksum: Checksum;

  constructor(checksum: Checksum) {
    this.#checksum = checksum;
  }

  meta(file: Uint8Array): Meta {
    return readMeta(new MemoryFile(file), this.#checksum);
  }

  /** Changes the meta page in force; it stays where it is. */
  withMeta(file: Uint8Array, change: Partial<Meta>): Uint8Array {
    const meta = this.meta(file);
    return this.#put(
      file,
      metaOffset(meta.generation),
      encodeMeta({ ...meta, ...change }, this.#checksum),
    );
  }

  /** Puts bytes where the meta page in force is, with the right checksum. */
  withMetaBytes(file: Uint8Array, change: (bytes: Uint8Array) => void): Uint8Array {
    const at = metaOffset(this.meta(file).generation);
    const bytes = file.slice(at, at + 4096);
    change(bytes);
    this.#checksum.put(bytes.subarray(0, 4088), bytes, 4088);
    return this.#put(file, at, bytes);
  }

  directory(file: Uint8Array): Directory {
    const { directoryPage, directoryBytes, pageSize } = this.meta(file);
    const at = directoryPage * pageSize;
    return decodeDirectory(
      file.subarray(at, at + directoryBytes),
      "forged",
      firstDataPage(pageSize),
      pageSize,
    );
  }

  withDirectory(file: Uint8Array, change: Partial<Directory>): Uint8Array {
    return this.withDirectoryBytes(file, encodeDirectory({ ...this.directory(file), ...change }));
  }

  /** Changes what is said of the first family. */
  withFamily(
    file: Uint8Array,
    change: Partial<Directory["families"][0]["entry"]>,
    rest: { id?: number; name?: string } = {},
  ): Uint8Array {
    const [first, ...others] = this.directory(file).families;
    const entry = { ...first.entry, ...change };
    return this.withDirectory(file, { families: [{ ...first, ...rest, entry }, ...others] });
  }

  withDirectoryBytes(file: Uint8Array, bytes: Uint8Array): Uint8Array {
    const { directoryPage, pageSize } = this.meta(file);
    const changed = this.#put(file, directoryPage * pageSize, bytes);
    return this.withMeta(changed, {
      directoryBytes: bytes.length,
      directoryChecksum: this.#checksum.of(bytes),
    });
  }

  /** Changes a page. */
  withPage(file: Uint8Array, page: number, change: (page: Chunk) => void): Uint8Array {
    const { pageSize } = this.meta(file);
    const bytes = file.slice(page * pageSize, (page + 1) * pageSize);
    change({ u8: bytes, u32: new Uint32Array(bytes.buffer) });
    this.#checksum.put(bytes.subarray(CHECKSUM_BYTES), bytes, 0);
    return this.#put(file, page * pageSize, bytes);
  }

  /** Changes an extent of overflow pages: `change` sees its header and its bytes. */
  withExtent(
    file: Uint8Array,
    page: number,
    length: number,
    change: (header: Uint32Array, value: Uint8Array) => void,
  ): Uint8Array {
    const { pageSize } = this.meta(file);
    const bytes = file.slice(page * pageSize, page * pageSize + HEADER_BYTES + length);
    change(new Uint32Array(bytes.buffer, 0, HEADER_BYTES / 4), bytes.subarray(HEADER_BYTES));
    this.#checksum.put(bytes.subarray(CHECKSUM_BYTES), bytes, 0);
    return this.#put(file, page * pageSize, bytes);
  }

  /** Pages of a kind (leaf 1, branch 2, overflow 3) that stand in the file, of tables or of catalogs; perhaps old ones. */
  pages(file: Uint8Array, kind: number, ofTables: boolean): number[] {
    const { pageSize } = this.meta(file);
    const view = new DataView(file.buffer, file.byteOffset, file.length);
    const found: number[] = [];
    for (let page = firstDataPage(pageSize); (page + 1) * pageSize <= file.length; page++) {
      const at = page * pageSize;
      if (view.getUint32(at + 8, true) !== page) continue;
      if (view.getUint8(at + WORD_KIND * 4) !== kind) continue;
      if ((view.getUint32(at + WORD_TABLE * 4, true) !== 0) === ofTables) found.push(page);
    }
    return found;
  }

  logHeader(log: Uint8Array): LogHeader {
    return readLogHeader(new MemoryFile(log), this.#checksum);
  }

  withLogHeader(log: Uint8Array, change: Partial<LogHeader>): Uint8Array {
    return this.#put(
      log,
      0,
      encodeLogHeader({ ...this.logHeader(log), ...change }, this.#checksum),
    );
  }

  /** Writes a record of parts (family, version, operations) at a position of the ring. */
  withRecord(
    log: Uint8Array,
    position: number,
    life: RecordLife,
    parts: readonly { family: number; version: number; operations: Uint8Array }[],
  ): Uint8Array {
    const builder = new RecordBuilder();
    for (const { family, version, operations } of parts) {
      builder.beginPart(family, version);
      builder.append(operations, 0, operations.length);
      builder.endPart();
    }
    return this.#put(log, 4096 + position, builder.finish(position, life, this.#checksum));
  }

  /** Changes a record, of which the header says the length. */
  withRecordBytes(log: Uint8Array, at: number, change: (bytes: Uint8Array) => void): Uint8Array {
    const length = new DataView(log.buffer, log.byteOffset).getUint32(at + 4, true);
    const bytes = log.slice(at, at + length);
    change(bytes);
    bytes.fill(0, 48, 56);
    this.#checksum.put(bytes, bytes, 48);
    return this.#put(log, at, bytes);
  }

  #put(file: Uint8Array, at: number, bytes: Uint8Array): Uint8Array {
    const changed = new Uint8Array(Math.max(file.length, at + bytes.length));
    changed.set(file);
    changed.set(bytes, at);
    return changed;
  }
}

/** Where the reference of a branch's child stands, as a word of the page. */
export function childWord(page: Chunk, slot: number): number {
  return cellAt(page.u32, 0, slot) >> 2;
}
