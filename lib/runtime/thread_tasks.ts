/**
 * Life and death of threads on Bun and Node: the operating system is asked whether the thread still
 * exists. A thread is named by what the system never gives to another one while this process lives:
 * on Linux its id and when it started, on macOS its 64-bit id.
 *
 * @module
 */

import { existsSync, readFileSync, readlinkSync } from "node:fs";
import process from "node:process";
import { ManifoldError } from "../errors.ts";
import type { Life, LifeName, LivenessProbe } from "./liveness.ts";

/** What is used of `bun:ffi`, on macOS. */
interface BunFfi {
  dlopen(
    library: string,
    symbols: Record<string, { args: string[]; returns: string }>,
  ): { symbols: Record<string, (...args: unknown[]) => number> };
}

interface System {
  /** The thread that calls. */
  self(): LifeName;
  alive(name: LifeName): boolean;
}

/** The field "starttime" of `/proc/PID/task/TID/stat`, counted behind the name in parentheses. */
const START_TIME_FIELD = 19;

function startTime(stat: string): number {
  return Number(stat.slice(stat.lastIndexOf(")") + 2).split(" ")[START_TIME_FIELD]) | 0;
}

const linux: System = {
  self() {
    const thread = Number(readlinkSync("/proc/thread-self").split("/")[2]);
    return [thread, startTime(readFileSync(`/proc/self/task/${thread}/stat`, "utf8"))];
  },
  alive([thread, started]) {
    if (!existsSync(`/proc/self/task/${thread}`)) return false;
    if (started === 0) return true;
    try {
      return startTime(readFileSync(`/proc/self/task/${thread}/stat`, "utf8")) === started;
    } catch (error) {
      const code = (error as { code?: unknown }).code;
      // It ended in between: ESRCH when the file was open already.
      if (code === "ENOENT" || code === "ESRCH") return false;
      throw error;
    }
  },
};

/** `PROC_PIDTHREADID64INFO` and the size of the structure that it fills. */
const THREAD_INFO = 15;
const THREAD_INFO_BYTES = 112;

function mac(ffi: BunFfi): System {
  const { symbols } = ffi.dlopen("libSystem.B.dylib", {
    pthread_threadid_np: { args: ["ptr", "ptr"], returns: "i32" },
    proc_pidinfo: { args: ["i32", "i32", "u64", "ptr", "i32"], returns: "i32" },
  });
  const info = new Uint8Array(THREAD_INFO_BYTES);
  return {
    self() {
      const id = new Uint32Array(2);
      symbols.pthread_threadid_np(null, id);
      return [id[0] | 0, id[1] | 0];
    },
    alive([low, high]) {
      const id = (BigInt(high >>> 0) << 32n) | BigInt(low >>> 0);
      return symbols.proc_pidinfo(process.pid, THREAD_INFO, id, info, info.length) > 0;
    },
  };
}

let loaded: System | undefined;

function system(): System {
  if (loaded !== undefined) return loaded;
  if (process.platform === "linux") return loaded = linux;
  if (process.platform === "darwin" && process.versions.bun !== undefined) {
    return loaded = mac(process.getBuiltinModule("bun:ffi") as unknown as BunFfi);
  }
  throw new ManifoldError(
    "not-supported",
    "on this system it cannot be told whether a thread is still there, which sharing a database " +
      "between threads needs. Use Deno, or Bun on Linux or macOS.",
  );
}

function claimSelf(): Promise<Life> {
  return Promise.resolve({ name: system().self(), end: () => {} });
}

/** Bun and Node. */
export const taskProbe: LivenessProbe = {
  claim: claimSelf,
  claimHost: claimSelf,
  alive: (_databaseId: string, names: readonly LifeName[]) =>
    Promise.resolve(names.map((name) => system().alive(name))),
};
