/**
 * Which threads of this process use a database, and which of them have died.
 *
 * The *host* is the thread that opened the database; other threads *join* it and get a slot each.
 * `terminate()` runs no `finally`, so a thread cannot be relied on to say that it goes. Here its
 * death is known with certainty: a slot is reported as gone only when no code of its thread can run
 * any more, and every death is reported, about {@linkcode POLL_MS} after it happened. How it is seen
 * differs between the runtimes (`LivenessProbe`); the table of slots is the same.
 *
 * The table, `Int32` words in shared memory, made by the host and travelling in its token:
 *
 * | word | meaning |
 * | --- | --- |
 * | 0 | the host: 1 open, 2 closed |
 * | 1, 2 | what names the host's thread to the probe |
 * | 3 | claims so far |
 * | 4 + 2s | slot s: 0 free, else what names the claim |
 * | 5 + 2s | slot s: more of the name |
 *
 * Slots below `reserved` are never handed out by {@linkcode joinHost}; they are the host's to give.
 *
 * @module
 */

import { clearInterval, setInterval } from "node:timers";
import { ManifoldError } from "../errors.ts";
import type { LifeName, LivenessProbe } from "./liveness.ts";
import { lockProbe } from "./thread_locks.ts";
import { taskProbe } from "./thread_tasks.ts";

/** How often each side looks whether the other is still there. */
export const POLL_MS = 100;

const HOST_STATE = 0;
const HOST_NAME = 1;
const CLAIMS = 3;
const SLOTS = 4;
const WORDS_PER_SLOT = 2;

const OPEN = 1;
const CLOSED = 2;

const probe: LivenessProbe = "Deno" in globalThis ? lockProbe : taskProbe;

/** What a thread needs to join: structured-cloneable, to be sent to it. */
export interface HostToken {
  readonly databaseId: string;
  readonly words: SharedArrayBuffer;
  readonly slots: number;
  readonly reserved: number;
}

/** The host's view. */
export interface HostThreads {
  /** Goes to the threads that join. */
  readonly token: HostToken;
  /**
   * `callback` is called for each slot whose thread has died; when it returns the slot is free
   * again. If it returns false, it is called once more with the next look. A thread that leaves in
   * order is not reported.
   */
  onGone(callback: (slot: number) => boolean | void): void;
  /** Tells those that have joined that the database is closed, and stops looking after them. */
  close(): void;
}

/** A thread's membership. */
export interface Joined {
  /** From `reserved` up to, not including, `slots`. */
  readonly slot: number;
  /** Gives the slot back; a second call does nothing. */
  leave(): void;
}

function slotWord(slot: number): number {
  return SLOTS + slot * WORDS_PER_SLOT;
}

/**
 * Makes this thread the host of a database.
 *
 * @param databaseId Unique among all that were opened in this process.
 * @param options `slots`: the number of slots; `reserved`: how many of them are not handed out.
 */
export async function hostThreads(
  databaseId: string,
  options: { slots: number; reserved: number },
): Promise<HostThreads> {
  const { slots, reserved } = options;
  const buffer = new SharedArrayBuffer(4 * slotWord(slots));
  const words = new Int32Array(buffer);
  const life = await probe.claimHost(databaseId, Atomics.add(words, CLAIMS, 1) + 1);
  words[HOST_NAME] = life.name[0];
  words[HOST_NAME + 1] = life.name[1];
  Atomics.store(words, HOST_STATE, OPEN);

  let callback: (slot: number) => boolean | void = () => {};
  let looking = false;

  async function look(): Promise<void> {
    const taken: number[] = [];
    const names: LifeName[] = [];
    for (let slot = reserved; slot < slots; slot++) {
      const first = Atomics.load(words, slotWord(slot));
      if (first === 0) continue;
      taken.push(slot);
      names.push([first, Atomics.load(words, slotWord(slot) + 1)]);
    }
    if (taken.length === 0) return;
    const alive = await probe.alive(databaseId, names);
    for (let i = 0; i < taken.length; i++) {
      if (alive[i]) continue;
      const word = slotWord(taken[i]);
      // Meanwhile it may have left, and another may have come: the dead one is the one looked at.
      if (Atomics.load(words, word) !== names[i][0]) continue;
      if (Atomics.load(words, HOST_STATE) !== OPEN) return;
      if (callback(taken[i]) === false) continue;
      Atomics.store(words, word + 1, 0);
      Atomics.store(words, word, 0);
    }
  }

  const timer = setInterval(() => {
    if (looking) return;
    looking = true;
    look().finally(() => looking = false);
  }, POLL_MS);
  timer.unref();

  return {
    token: { databaseId, words: buffer, slots, reserved },
    onGone: (given) => void (callback = given),
    close() {
      if (Atomics.load(words, HOST_STATE) === CLOSED) return;
      Atomics.store(words, HOST_STATE, CLOSED);
      clearInterval(timer);
      life.end();
    },
  };
}

/**
 * Whether the host still has the database open. For a worker of the database itself, which holds no
 * slot by {@linkcode joinHost} and mostly blocks its thread: to be asked now and then when idle. It
 * must be, because on Deno the workers that a thread has started outlive that thread's termination.
 */
export async function hostState(token: HostToken): Promise<"open" | "closed" | "died"> {
  const words = new Int32Array(token.words);
  if (Atomics.load(words, HOST_STATE) === CLOSED) return "closed";
  const name: LifeName = [words[HOST_NAME], words[HOST_NAME + 1]];
  const [alive] = await probe.alive(token.databaseId, [name]);
  if (alive) return "open";
  // A host that closes ends its claim too.
  return Atomics.load(words, HOST_STATE) === CLOSED ? "closed" : "died";
}

/**
 * Takes a slot for this thread. On Deno, membership keeps the thread's event loop alive until it
 * leaves or the host is gone (a held Web Lock does that).
 *
 * @param token The host's.
 * @param onHostGone Called once when the host has closed the database or its thread has died; the
 * membership is over then.
 */
export async function joinHost(
  token: HostToken,
  onHostGone: (how: "closed" | "died") => void,
): Promise<Joined> {
  const { databaseId, slots, reserved } = token;
  const words = new Int32Array(token.words);

  function checkOpen(): void {
    if (Atomics.load(words, HOST_STATE) === OPEN) return;
    throw new ManifoldError("closed", "the database has been closed by the thread that opened it.");
  }

  function takeSlot(name: LifeName): number | undefined {
    for (let slot = reserved; slot < slots; slot++) {
      const word = slotWord(slot);
      if (Atomics.compareExchange(words, word, 0, name[0]) !== 0) continue;
      Atomics.store(words, word + 1, name[1]);
      return slot;
    }
  }

  checkOpen();
  const life = await probe.claim(databaseId, Atomics.add(words, CLAIMS, 1) + 1);
  const slot = takeSlot(life.name);
  if (slot === undefined) {
    life.end();
    throw new ManifoldError(
      "too-large",
      `${
        slots - reserved
      } threads use this database already, which is the most it was opened for. ` +
        "Close it in threads that no longer need it.",
    );
  }
  const word = slotWord(slot);
  let joined = true;
  let looking = false;

  function leave(): void {
    if (!joined) return;
    joined = false;
    clearInterval(timer);
    Atomics.store(words, word + 1, 0);
    Atomics.store(words, word, 0);
    life.end();
  }

  async function look(): Promise<void> {
    const state = await hostState(token);
    if (state === "open" || !joined) return;
    leave();
    onHostGone(state);
  }

  const timer = setInterval(() => {
    if (looking) return;
    looking = true;
    look().finally(() => looking = false);
  }, POLL_MS);
  timer.unref();
  return { slot, leave };
}
