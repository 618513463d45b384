/**
 * Bounds that are made small, so that a short history comes to them: full queues and logs, many
 * segments, many pins.
 *
 * @module
 */

import type { Patch } from "./build.ts";

/** Makes a constant another: the declaration `name = from;` has to stand in the file as it is given. */
export function bound(file: string, name: string, from: string, to: string): Patch {
  return { file, from: `${name} = ${from};`, to: `${name} = ${to};` };
}

export const SMALL: readonly Patch[] = [
  bound("lib/memory/control.ts", "export const THREADS_MAX", "128", "16"),
  bound("lib/memory/control.ts", "export const PINS_MAX", "8192", "64"),
  bound("lib/memory/control.ts", "export const WORKERS_MAX", "256", "8"),
  bound("lib/memory/control.ts", "export const WATCHERS_MAX", "4096", "16"),
  bound("lib/engine/thread_memory.ts", "const FEED_BYTES", "4 * 2 ** 20", "2 ** 13"),
  bound("lib/memory/completions.ts", "export const COMPLETIONS_MAX", "8192", "32"),
  bound("lib/memory/family_slots.ts", "export const FAMILIES_MAX", "8192", "32"),
  bound("lib/memory/spin_lock.ts", "const SPINS_MAX", "2000", "3"),
  bound("lib/storage/extents.ts", "export const EXTENTS_MAX", "65536", "1024"),
  bound("lib/storage/page_writer.ts", "const WRITE_BYTES", "256 * 1024", "12288"),
  bound("lib/api/raw_entries.ts", "const FIRST_ENTRIES", "32", "2"),
  bound("lib/api/client.ts", "export const URGENT_RESERVE", "1024", "8"),
  bound("lib/api/open.ts", "const RING_BYTES", "8 * 2 ** 20", "2 ** 13"),
  bound("lib/api/open.ts", "const PAGES_MIN", "2 ** 24", "8192"),
  bound("lib/api/open.ts", "const ATTACHED_MAX", "64", "12"),
  bound("lib/api/open_options.ts", "const MIB", "2 ** 20", "2 ** 14"),
  {
    file: "lib/api/open_options.ts",
    from: "Math.min(65536, logBytes)",
    to: "Math.min(4096, logBytes)",
  },
  bound("lib/log/log_file.ts", "export const LOG_BYTES_MIN", "2 ** 18", "2 ** 12"),
  bound("lib/log/log_file.ts", "const WINDOW_BYTES", "1024 * 1024", "8192"),
  bound("lib/log/group_commit.ts", "const FILL_BYTES", "1024 * 1024", "4096"),
  bound("lib/engine/application.ts", "const SORTED_BYTES_MIN", "2 ** 20", "256"),
  bound("lib/engine/writer.ts", "const EARLY_BYTES_MIN", "2 ** 16", "256"),
  bound("lib/engine/recovery.ts", "const PIECE_BYTES", "16 * 2 ** 20", "2048"),
  bound("lib/engine/recovery.ts", "const WAITING_FAMILIES_MAX", "256", "2"),
  bound("lib/engine/keeper.ts", "const FILLED_AT_FIRST_BYTES", "8 * 2 ** 20", "4096"),
];

/** Lets a report name the errors that were met inside, also by workers, of which callers see the code alone. */
export const TELLING: readonly Patch[] = [
  {
    file: "lib/errors.ts",
    from: "    this.code = code;\n",
    to: "    this.code = code;\n    ($s as any).met(this);\n",
  },
  {
    file: "lib/memory/database_state.ts",
    from: "export function fail(control: Control, error: unknown): void {\n",
    to:
      "export function fail(control: Control, error: unknown): void {\n  ($s as any).met(error);\n",
  },
];
