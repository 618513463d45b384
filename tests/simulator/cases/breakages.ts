/**
 * Changes of the shipped code that break what a case protects, and that it must find. All are built at once; one at
 * a time is switched on.
 *
 * @module
 */

import { on, PINS_BEFORE_EPOCHS } from "../breakages.ts";
import type { Patch } from "../build.ts";

export interface Breakage {
  readonly name: string;
  /** The case that must find it: its module and its name. */
  readonly found: readonly [module: string, name: string];
  readonly patches: readonly Patch[];
}

/** What is done instead of `from`. */
function instead(name: string, file: string, from: string, broken: string): Patch {
  return { file, from, to: `if (${on(name)}) { ${broken} } else { ${from} }` };
}

function breakage(
  found: readonly [module: string, name: string],
  name: string,
  ...patches: readonly Patch[]
): Breakage {
  return { name, found, patches };
}

const SLOTS = "lib/memory/family_slots.ts";
const RING = "lib/memory/write_ring.ts";
const COMMIT = "lib/log/group_commit.ts";

export const BREAKAGES: readonly Breakage[] = [
  breakage(["pin", "pinned"], PINS_BEFORE_EPOCHS.name, ...PINS_BEFORE_EPOCHS.patches),
  breakage(["frames", "evictor"], "the epoch is tagged before the frame is unlinked", {
    file: "lib/memory/frames.ts",
    from: "  #toLimbo(frame: number): void {",
    to: `  #toLimbo(frame: number): void {
    const tag = ${
      on("the epoch is tagged before the frame is unlinked")
    } ? this.#epochs.tag() : 0;`,
  }, {
    file: "lib/memory/frames.ts",
    from: "(this.#epochs.tag() << KIND_BITS));\n    if (this.#limbo.length",
    to: "((tag || this.#epochs.tag()) << KIND_BITS));\n    if (this.#limbo.length",
  }),
  breakage(["joint", "cut"], "a snapshot does not look at the publish lock", {
    file: "lib/api/database_cut.ts",
    from: "  if (Atomics.load(control.words, PUBLISH_LOCK) !== 0) return false;",
    to: `  if (!(${on("a snapshot does not look at the publish lock")}) &&
    Atomics.load(control.words, PUBLISH_LOCK) !== 0) return false;`,
  }),
  breakage(["joint", "cut"], "a snapshot does not look at the numbers again", {
    file: "lib/api/database_cut.ts",
    from: "  return families.every((slot, i) => slots.publications(slot) === numbers[i]);",
    to: `  return ${on("a snapshot does not look at the numbers again")} ||
    families.every((slot, i) => slots.publications(slot) === numbers[i]);`,
  }),
  breakage(["joint", "cut"], "joint families are published one by one", {
    file: "lib/engine/writer.ts",
    from: "        for (const slot of slots) this.#parts.slots.publishPrepared(slot);\n",
    to: `        for (const slot of slots) {
          this.#parts.slots.publishPrepared(slot);
          if (${on("joint families are published one by one")}) {
            this.#publishLock.release();
            this.#publishLock.acquire(thread);
          }
        }\n`,
  }),
  breakage(["joint", "triangle"], "a joint transaction's step wakes nobody", {
    file: "lib/memory/joint_words.ts",
    from: "+ STEP, step);\n    wakeWorker(this.#control, other);",
    to: `+ STEP, step);
    if (!(${on("a joint transaction's step wakes nobody")})) wakeWorker(this.#control, other);`,
  }),
  breakage(["publish", "state"], "the number is written before the block", {
    file: SLOTS,
    from: "    this.#writeBlock(at + BLOCKS + (next & BLOCK_MASK)",
    to: `    if (${on("the number is written before the block")}) {
      Atomics.store(words, at + PUBLICATIONS, next);
    }
    this.#writeBlock(at + BLOCKS + (next & BLOCK_MASK)`,
  }),
  breakage(["publish", "version"], "a block that is being written again is believed", {
    file: SLOTS,
    from: "< BLOCK_MASK) return version;",
    to: `< BLOCK_MASK + (${
      on("a block that is being written again is believed")
    } ? 1 : 0)) return version;`,
  }),
  breakage(["publish", "cut"], "the keeper pins without the lock", {
    file: "lib/engine/keeper.ts",
    from: "    this.#publishLock.acquire(thread);",
    to: `    if (!(${on("the keeper pins without the lock")})) this.#publishLock.acquire(thread);`,
  }),
  breakage(["queue", "full"], "an entry is ready before its payload", {
    file: RING,
    from: "    words[word + ENTRY_THREAD] = header.thread | (header.session << 8);",
    to: `    if (${on("an entry is ready before its payload")}) {
      Atomics.store(words, word, (Atomics.load(words, word) & ~STATE_MASK) | READY);
    }
    words[word + ENTRY_THREAD] = header.thread | (header.session << 8);`,
  }),
  breakage(
    ["queue", "full"],
    "nobody is told of room in the queue",
    instead("nobody is told of room in the queue", RING, "bumpAndWake(this.words, SPACE);", ""),
  ),
  breakage(
    ["queue", "dying"],
    "a reservation does not say whose it is",
    instead(
      "a reservation does not say whose it is",
      RING,
      "words[word + ENTRY_THREAD] = thread;",
      "",
    ),
  ),
  breakage(["frames", "evictor"], "a frame leaves limbo at once", {
    file: "lib/memory/frames.ts",
    from: "  return (((horizon << KIND_BITS)",
    to: `  return ${on("a frame leaves limbo at once")} || (((horizon << KIND_BITS)`,
  }),
  breakage(["frames", "reader"], "a page is shown without a second look", {
    file: "lib/memory/frames.ts",
    from:
      "    if (Atomics.load(this.table, page) !== frame + 1 && this.#own(frame, FRAME_CLEAN)) {",
    to: `    if (${on("a page is shown without a second look")}) return frame;
    if (Atomics.load(this.table, page) !== frame + 1 && this.#own(frame, FRAME_CLEAN)) {`,
  }),
  breakage(["commit", "two"], "the leader steps down without waking anyone", {
    file: COMMIT,
    from: "    // All are woken, so that one whose record came too late",
    to: `    if (${on("the leader steps down without waking anyone")}) return;
    // All are woken, so that one whose record came too late`,
  }),
  breakage(["commit", "two"], "the durable position moves over a gap", {
    file: COMMIT,
    from: "    const upTo = this.#locked(() => this.#writtenUpTo());",
    to: `    const upTo = this.#locked(() =>
      ${on("the durable position moves over a gap")} ? this.#f64[TAIL] : this.#writtenUpTo()
    );`,
  }),
  breakage(
    ["locks", "lock"],
    "a dead thread's lock is released whoever holds it",
    instead(
      "a dead thread's lock is released whoever holds it",
      "lib/memory/spin_lock.ts",
      "Atomics.compareExchange(this.#words, this.#index, thread + 1, 0);",
      "this.release();",
    ),
  ),
  breakage(["locks", "turn"], "a turn outlives its thread", {
    file: "lib/engine/turns.ts",
    from: "!isAlive(this.#control, turn.thread, turn.session)",
    to: `!(${
      on("a turn outlives its thread")
    }) && !isAlive(this.#control, turn.thread, turn.session)`,
  }),
  breakage(["locks", "joining"], "a slot is taken in two steps", {
    file: "lib/memory/threads.ts",
    from:
      "    if (Atomics.compareExchange(words, at + STATE, FREE, liveState(liveness)) !== FREE) continue;",
    to: `    if (Atomics.load(words, at + STATE) !== FREE) continue;
    if (${on("a slot is taken in two steps")}) {
      Atomics.store(words, at + STATE, liveState(liveness));
    } else if (Atomics.compareExchange(words, at + STATE, FREE, liveState(liveness)) !== FREE) {
      continue;
    }`,
  }),
];
