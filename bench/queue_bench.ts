/**
 * The write queue in one thread: an entry is pushed, found and given back. What it costs when threads
 * meet in it is part of `main.ts`. `deno bench -A bench/queue_bench.ts`.
 *
 * @module
 */

import { type EntryHeader, WriteRing } from "../lib/memory/write_ring.ts";

const RING_BYTES = 2 ** 20;
/** Entries that wait at a time, where many do. */
const BURST = 64;

const ring = new WriteRing(WriteRing.allocate(RING_BYTES));

function headerOf(payload: Uint8Array): EntryHeader {
  return {
    thread: 1,
    session: 1,
    request: 1,
    kind: 1,
    flags: 0,
    slot: 0,
    family: 1,
    payloadBytes: payload.length,
    argument: 0,
  };
}

function push(header: EntryHeader, payload: Uint8Array): void {
  if (!ring.push(header, payload)) throw new Error("the ring is full");
}

function take(count: number): void {
  let cursor = ring.head;
  for (let i = 0; i < count; i++) {
    if (ring.peek(cursor) < 0) throw new Error("the ring is empty");
    cursor = ring.next;
  }
  ring.release(cursor);
}

for (const size of [0, 200, 4096, 180_000]) {
  const payload = new Uint8Array(size).fill(7);
  const header = headerOf(payload);

  Deno.bench(`push, peek, release: ${size} bytes`, { group: "one" }, () => {
    push(header, payload);
    take(1);
  });

  if (size * BURST > RING_BYTES / 2) continue;
  Deno.bench(`${BURST} × push, then peek, one release: ${size} bytes`, { group: "burst" }, () => {
    for (let i = 0; i < BURST; i++) push(header, payload);
    take(BURST);
  });
}
