/**
 * What fuzzing begins with: a sound file and a sound log, the same bytes in every run, so that a seed is all
 * that is needed to repeat a failure.
 *
 * @module
 */

import { encodeLogHeader } from "../../lib/log/log_file.ts";
import {
  encodeOperation,
  OP_CREATE_FAMILY,
  OP_CREATE_TABLE,
  OP_DELETE,
  OP_DELETE_RANGE,
  OP_DROP_FAMILY,
  OP_DROP_TABLE,
  OP_SET,
  operationMemory,
} from "../../lib/log/operations.ts";
import { ByteWriter } from "../../lib/api/codec_writer.ts";
import { bytes as bytesCodec, text } from "../../lib/api/codecs/mod.ts";
import { MultimapEntryCodec } from "../../lib/api/codecs/multimap_entry.ts";
import { RecordBuilder } from "../../lib/log/record.ts";
import type { FamilyEntry } from "../../lib/memory/family_slots.ts";
import type { Checksum } from "../../lib/storage/checksum.ts";
import { putU53 } from "../../lib/storage/bytes.ts";
import { encodeDirectory } from "../../lib/storage/directory.ts";
import { DIRECTORY_OWNER } from "../../lib/storage/extents.ts";
import { encodeMeta, type Meta, metaOffset } from "../../lib/storage/meta.ts";
import { LocalDatabase, type LocalFamily } from "../support/local_family.ts";
import { Random } from "../support/random.ts";

export const PAGE_SIZE = 4096;
const LOG_BYTES = 2 ** 18;
const utf8 = new TextEncoder();
const NONE = new Uint8Array(0);

export interface Inputs {
  /** A file that was closed, and the same one as if it had not been. */
  readonly clean: Uint8Array;
  readonly unclean: Uint8Array;
  readonly log: Uint8Array;
  /** Bytes of the log's records. */
  readonly logEnd: number;
  readonly meta: Meta;
  readonly families: readonly { readonly name: string; readonly entry: FamilyEntry }[];
}

/** The last one keeps its changes and has a multimap. */
export const FAMILIES = ["one", "two", "kept"];
export const TABLES = ["large", "middle", "small", "multi"];
export const MULTIMAP = "multi";
export const MULTIMAP_CODECS = "multimap(text,bytes)\0none";
/** So much that the oldest changes are gone. */
const KEEP_BYTES = 20_000;

export async function makeInputs(checksum: Checksum): Promise<Inputs> {
  const random = new Random(20260401);
  const database = await LocalDatabase.create({ pageSize: PAGE_SIZE });
  const locals = FAMILIES.map((name) => [name, database.family(name)] as const);
  for (const [name, family] of locals) {
    if (name === "kept") fillKeptFamily(family, random);
    else fillFamily(family, random);
  }
  const families = locals.map(([name, family]) => ({
    id: family.engine.id,
    name,
    entry: family.checkpoint(),
  }));
  const { extents } = database.writer;
  const directoryPage = extents.take(1, DIRECTORY_OWNER);
  extents.extendFile(database.file, PAGE_SIZE);
  const directory = encodeDirectory({
    nextFamilyId: 10,
    generation: 4,
    filePages: extents.filePages,
    families,
    extents: extents.list(),
  });
  const meta: Meta = {
    uuid: random.bytes(16),
    pageSize: PAGE_SIZE,
    clean: true,
    generation: 4,
    salt: random.bytes(8),
    logPosition: 0,
    directoryPage,
    directoryBytes: directory.length,
    directoryChecksum: checksum.of(directory),
  };
  database.file.write(directoryPage * PAGE_SIZE, directory);
  const file = (clean: boolean): Uint8Array => {
    database.file.write(metaOffset(4), encodeMeta({ ...meta, clean }, checksum));
    database.file.write(
      metaOffset(3),
      encodeMeta({ ...meta, clean: false, generation: 3 }, checksum),
    );
    return database.file.bytes.slice(0, database.file.size());
  };
  const { log, logEnd } = makeLog(families, meta, checksum, random);
  return { clean: file(true), unclean: file(false), log, logEnd, meta, families };
}

function fillFamily(family: LocalFamily, random: Random): void {
  for (const [i, count] of [300, 40, 3].entries()) {
    const table = TABLES[i];
    family.fill(
      table,
      Array.from({ length: count }, (_, n) => [
        utf8.encode(`key-${String(n * 7 % count).padStart(4, "0")}`),
        random.bytes(n % 20 === 0 ? 3000 : random.int(60)),
      ]),
    );
  }
}

function fillKeptFamily(family: LocalFamily, random: Random): void {
  const keep = new Uint8Array(8);
  putU53(new DataView(keep.buffer), 0, KEEP_BYTES);
  const creation = encodeOperation(OP_CREATE_FAMILY, 0, keep, utf8.encode("kept"));
  family.engine.beginGroup();
  family.engine.apply(operationMemory(creation), 0, creation.length, null);
  family.engine.seal();
  family.engine.publish();
  family.engine.afterPublish();
  const entries = new MultimapEntryCodec(text, bytesCodec);
  for (let i = 0; i < 12; i++) {
    family.write("small", (operations, table) => {
      for (let n = 0; n < 4; n++) {
        // Some values stand apart from the change that tells of them.
        const value = random.bytes(n === 0 ? 2000 : random.int(100));
        operations.set(table, utf8.encode(`key-${random.int(8)}`), value);
      }
      if (i % 4 === 3) operations.delete(table, utf8.encode(`key-${random.int(8)}`));
    });
    family.write(MULTIMAP, (operations, table) => {
      for (let n = 0; n < 10; n++) {
        const key = new ByteWriter();
        entries.encode([`key-${random.int(6)}`, random.bytes(random.int(12))], key);
        operations.set(table, key.view().slice(), NONE);
      }
    }, MULTIMAP_CODECS);
  }
}

function makeLog(
  families: readonly { id: number; entry: FamilyEntry }[],
  { uuid, salt, generation }: Meta,
  checksum: Checksum,
  random: Random,
): { log: Uint8Array; logEnd: number } {
  const log = new Uint8Array(4096 + LOG_BYTES);
  log.set(encodeLogHeader({ uuid, salt, capacity: LOG_BYTES, generation: 3 }, checksum));
  const versions = new Map(families.map(({ id, entry }) => [id, entry.version]));
  const builder = new RecordBuilder();
  let position = 0;
  const add = (parts: [number, Uint8Array[]][]): void => {
    builder.clear();
    for (const [family, operations] of parts) {
      const version = (versions.get(family) ?? 0) + 1;
      versions.set(family, version);
      builder.beginPart(family, version);
      for (const bytes of operations) builder.append(bytes, 0, bytes.length);
      builder.endPart();
    }
    const durable = Math.max(0, position - 256);
    const record = builder.finish(position, { salt, generation, durable }, checksum);
    log.set(record, 4096 + position);
    position += record.length;
  };
  const [one, two, kept] = families.map(({ id }) => id);
  const set = (table: number): Uint8Array =>
    encodeOperation(OP_SET, table, random.bytes(1 + random.int(20)), random.bytes(random.int(80)));
  for (let i = 0; i < 6; i++) add([[one, [set(1), set(2)]], [two, [set(1 + i % 3)]]]);
  add([[one, [encodeOperation(OP_DELETE, 1, utf8.encode("key-0001"), NONE)]]]);
  const range = encodeOperation(
    OP_DELETE_RANGE,
    1,
    utf8.encode("key-0002"),
    utf8.encode("key-0200"),
  );
  range[1] = 15;
  add([[two, [range, set(1)]]]);
  add([[one, [
    encodeOperation(OP_CREATE_TABLE, 4, utf8.encode("new"), utf8.encode("text\0bytes")),
    set(4),
  ]]]);
  add([[two, [encodeOperation(OP_DROP_TABLE, 2, utf8.encode("middle"), NONE)]]]);
  // Of a family that keeps its changes the first table has the second id.
  for (let i = 0; i < 3; i++) add([[kept, [set(2), set(3)]]]);
  add([[7, [encodeOperation(OP_CREATE_FAMILY, 0, NONE, utf8.encode("seven"))]]]);
  add([[7, [
    encodeOperation(OP_CREATE_TABLE, 1, utf8.encode("t"), utf8.encode("text\0bytes")),
    set(1),
  ]]]);
  add([[8, [encodeOperation(OP_CREATE_FAMILY, 0, NONE, utf8.encode("eight"))]]]);
  add([[8, [encodeOperation(OP_DROP_FAMILY, 0, NONE, NONE)]]]);
  return { log, logEnd: position };
}
