/**
 * The runtime's files with faults: every call is counted, and one of them, by its number, fails as it is
 * told to. In the thread where it is installed, until it is disposed of. Nothing is synced, which takes
 * long: what a loss of power leaves is not looked at here.
 *
 * @module
 */

import { ManifoldError } from "../../lib/errors.ts";
import { runtime } from "../../lib/runtime/runtime.ts";
import type { OpenOptions, Runtime } from "../../lib/runtime/types.ts";
import type { File } from "../../lib/storage/file.ts";

/** What is counted. */
export type Call =
  | "open"
  | "read"
  | "write"
  | "sync"
  | "size"
  | "truncate"
  | "remove"
  | "rename"
  | "syncDirectory";

/**
 * - `eio`: the call does nothing and fails.
 * - `late eio`: it does all and fails all the same.
 * - `torn eio`, `torn enospc`: a write does its first half and fails.
 * - `enospc`: a write or growth fails for want of room.
 * - `disk full`: from this call on there is no room for anything beyond the present end of a file.
 * - `short read`: the file seems to end in the middle of what is read.
 * - `defect`: a write does its first half and throws what no disk can be the reason of.
 */
export type FaultKind =
  | "eio"
  | "late eio"
  | "torn eio"
  | "torn enospc"
  | "enospc"
  | "disk full"
  | "short read"
  | "defect";

/** What a `defect` says. */
export const DEFECT = "a defect, for this test";

/** Which faults a call can have, of a disk. */
export const FAULTS: Readonly<Record<Call, readonly FaultKind[]>> = {
  open: ["eio"],
  read: ["eio", "short read"],
  write: ["eio", "late eio", "torn eio", "torn enospc", "enospc", "disk full"],
  sync: ["eio"],
  size: ["eio"],
  truncate: ["eio", "enospc"],
  remove: ["eio"],
  rename: ["eio"],
  syncDirectory: ["eio"],
};

function inputOutputError(call: string, path: string): ManifoldError {
  return new ManifoldError("io", `cannot ${call} "${path}": input/output error`);
}

function noSpace(call: string, path: string): ManifoldError {
  return new ManifoldError("disk-full", `cannot ${call} "${path}": no space left on device`);
}

export class FaultyRuntime implements Disposable {
  /** The calls so far, in their order. */
  readonly calls: Call[] = [];
  /** The file of each. */
  readonly paths: string[] = [];
  /** The call that failed, and on which file. */
  hit: { readonly call: Call; readonly path: string } | undefined;
  /** Calls that change a file since the fault. */
  changesSince = 0;
  readonly #at: number;
  readonly #kind: FaultKind | undefined;
  readonly #original: Runtime = { ...runtime };
  #full = false;
  #noRoomFor: string | undefined;

  readonly #onHit: () => void;

  /**
   * `at`: the number of the call, from 0, that fails, or the first after it that can; -1 for none. `onHit` is called
   * when it does, before it does.
   */
  constructor(at = -1, kind?: FaultKind, onHit: () => void = () => {}) {
    this.#at = at;
    this.#kind = kind;
    this.#onHit = onHit;
    const { openFile, remove, rename } = this.#original;
    const simple = (call: Call, path: string, work: () => void): void => {
      if (this.#count(call, path) !== undefined) throw inputOutputError(call, path);
      work();
    };
    Object.assign(runtime, {
      openFile: (path: string, options: OpenOptions) => {
        if (this.#count("open", path) !== undefined) throw inputOutputError("open", path);
        return this.#wrap(openFile(path, options));
      },
      remove: (path: string) => simple("remove", path, () => remove(path)),
      rename: (from: string, to: string) => simple("rename", from, () => rename(from, to)),
      syncDirectory: (path: string) => simple("syncDirectory", path, () => {}),
    });
  }

  [Symbol.dispose](): void {
    const { openFile, remove, rename, syncDirectory } = this.#original;
    Object.assign(runtime, { openFile, remove, rename, syncDirectory });
  }

  /** There is no room for anything that is written to a file, until what it returns is disposed of. */
  fill(path: string): Disposable {
    this.#noRoomFor = path;
    return { [Symbol.dispose]: () => this.#noRoomFor = undefined };
  }

  /** Counts a call; the fault that it has. */
  #count(call: Call, path: string): FaultKind | undefined {
    this.paths.push(path);
    const number = this.calls.push(call) - 1;
    const kind = this.#kind;
    const canHave = kind !== undefined &&
      (kind === "defect" ? call === "write" : FAULTS[call].includes(kind));
    const isIt = this.#at >= 0 && number >= this.#at && this.hit === undefined && canHave;
    if (!isIt) {
      if (this.hit !== undefined && ["write", "sync", "truncate", "rename"].includes(call)) {
        this.changesSince++;
      }
      return undefined;
    }
    this.hit = { call, path };
    this.#onHit();
    if (kind === "disk full") this.#full = true;
    return kind;
  }

  #wrap(file: File): File {
    const { path } = file;
    return {
      path,
      read: (offset, memory, from = 0, length = memory.length - from) => {
        const fault = this.#count("read", path);
        if (fault === "eio") throw inputOutputError("read", path);
        const count = file.read(offset, memory, from, length);
        return fault === "short read" ? count >> 1 : count;
      },
      write: (offset, memory, from = 0, length = memory.length - from) => {
        const fault = this.#count("write", path);
        const half = length >> 1;
        switch (fault) {
          case "eio":
            throw inputOutputError("write", path);
          case "enospc":
            throw noSpace("write", path);
          case "torn eio":
            file.write(offset, memory, from, half);
            throw inputOutputError("write", path);
          case "torn enospc":
            file.write(offset, memory, from, half);
            throw noSpace("write", path);
          case "defect":
            file.write(offset, memory, from, half);
            throw new TypeError(DEFECT);
        }
        const full = this.#full && offset + length > file.size();
        if (full || path === this.#noRoomFor) throw noSpace("write", path);
        file.write(offset, memory, from, length);
        if (fault === "late eio") throw inputOutputError("write", path);
      },
      sync: () => {
        if (this.#count("sync", path) !== undefined) throw inputOutputError("sync", path);
      },
      size: () => {
        if (this.#count("size", path) !== undefined) throw inputOutputError("size", path);
        return file.size();
      },
      truncate: (length) => {
        const fault = this.#count("truncate", path);
        if (fault === "eio") throw inputOutputError("truncate", path);
        const grows = length > file.size();
        const full = grows && (this.#full || path === this.#noRoomFor);
        if (fault === "enospc" || full) throw noSpace("truncate", path);
        file.truncate(length);
      },
      lock: (exclusive) => file.lock(exclusive),
      unlock: () => file.unlock(),
      close: () => file.close(),
    };
  }
}
