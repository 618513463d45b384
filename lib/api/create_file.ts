/**
 * A new database file, and the reading of a directory.
 *
 * Invariant: a file under the database's name is whole from its first moment: it is made under another
 * name, synced, and renamed; who makes it holds the lock of the other name meanwhile.
 *
 * @module
 */

import { ManifoldError } from "../errors.ts";
import { directoryOf } from "../runtime/paths.ts";
import { runtime } from "../runtime/runtime.ts";
import type { Checksum } from "../storage/checksum.ts";
import {
  decodeDirectory,
  type Directory,
  DIRECTORY_BYTES_MAX,
  encodeDirectory,
  extentOf,
} from "../storage/directory.ts";
import { DIRECTORY_OWNER } from "../storage/extents.ts";
import type { File } from "../storage/file.ts";
import { encodeMeta, firstDataPage, type Meta, META_BYTES, metaOffset } from "../storage/meta.ts";

/** Makes the file of an empty database, unless another has made it meanwhile. */
export function createDatabaseFile(path: string, pageSize: number, checksum: Checksum): void {
  const making = `${path}-new`;
  const file = runtime.openFile(making, { write: true, create: true, noFollow: true });
  try {
    if (!file.lock(true)) {
      throw new ManifoldError("locked", `${path} is being made by another process; try again`);
    }
    if (runtime.kind(path) !== undefined) {
      runtime.remove(making);
      return;
    }
    const page = firstDataPage(pageSize);
    const directory = encodeDirectory({
      nextFamilyId: 1,
      generation: 1,
      filePages: page + 1,
      families: [],
      extents: [{ start: page, pages: 1, free: false, owner: 0 }],
    });
    const meta: Meta = {
      uuid: crypto.getRandomValues(new Uint8Array(16)),
      pageSize,
      clean: true,
      generation: 1,
      salt: new Uint8Array(8),
      logPosition: 0,
      directoryPage: page,
      directoryBytes: directory.length,
      directoryChecksum: checksum.of(directory),
    };
    file.truncate(0);
    file.write(page * pageSize, directory);
    file.truncate((page + 1) * pageSize);
    // The other one, too: when the disk is full, it has its place.
    file.write(metaOffset(meta.generation + 1), new Uint8Array(META_BYTES));
    file.write(metaOffset(meta.generation), encodeMeta(meta, checksum));
    file.sync();
    runtime.rename(making, path);
    runtime.syncDirectory(directoryOf(path));
  } finally {
    file.close();
  }
}

/**
 * Reads the directory that a meta page names.
 * @throws {ManifoldError} `corrupt`
 */
export function readDirectory(file: File, meta: Meta, checksum: Checksum): Directory {
  const { path } = file;
  const directory = readDirectoryBlob(file, meta, checksum);
  if (file.size() < directory.filePages * meta.pageSize) {
    throw new ManifoldError(
      "corrupt",
      `${path} has ${file.size()} bytes, but should have ${directory.filePages * meta.pageSize}: ` +
        `it was cut off; restore a backup`,
    );
  }
  return directory;
}

/** The same of a file that may have been cut off behind the directory. */
export function readDirectoryBlob(file: File, meta: Meta, checksum: Checksum): Directory {
  const { path } = file;
  const offset = meta.directoryPage * meta.pageSize;
  const corrupt = (how: string): ManifoldError =>
    new ManifoldError(
      "corrupt",
      `${path}: the directory at byte ${offset} ${how}; restore a backup`,
    );
  if (offset + meta.directoryBytes > file.size()) throw corrupt("lies beyond the end of the file");
  if (meta.directoryBytes > DIRECTORY_BYTES_MAX) {
    throw corrupt(`has ${meta.directoryBytes} bytes, more than any can have`);
  }
  const bytes = new Uint8Array(meta.directoryBytes);
  file.read(offset, bytes);
  if (!checksum.matches(meta.directoryChecksum, 0, bytes)) throw corrupt("has a wrong checksum");
  const directory = decodeDirectory(bytes, path, firstDataPage(meta.pageSize), meta.pageSize);
  if (directory.generation > meta.generation) {
    throw corrupt(`is of generation ${directory.generation}, its meta page of ${meta.generation}`);
  }
  const own = extentOf(directory.extents, meta.directoryPage);
  if (
    own === undefined || own.free || own.owner !== DIRECTORY_OWNER ||
    own.start !== meta.directoryPage || meta.directoryBytes > own.pages * meta.pageSize
  ) throw corrupt("does not say of its own pages that they are its own");
  return directory;
}
