/**
 * Joint transactions as bytes: what a thread asks of the workers whose families one transaction changes.
 *
 * The worker with the lowest number gets the request itself, the others a stash each, before it. Both begin
 * with four words: bytes of the whole transaction's parts (low, high), other workers, their families;
 * then the numbers of the other workers, ascending, and the slots of their families (a stash has none of
 * these). Then a part for each of the worker's own families, a header of five words and operations:
 *
 * | word | what |
 * |---|---|
 * | 0 | slot of the family |
 * | 1 | its id |
 * | 2 | token of the family's turn, or 0 |
 * | 3 | flags, as those of a transaction |
 * | 4 | bytes of what follows, a multiple of 4: with the flag *reads* what was read (reads.ts), then operations |
 *
 * @module
 */

import type { OperationMemory } from "../log/operations.ts";
import { PART_HEADER_BYTES } from "../log/record.ts";
import type { Request } from "./inbox.ts";
import { FLAG_READS } from "./requests.ts";

const HEAD_WORDS = 4;
const PART_WORDS = 5;

/** What one family does in a joint transaction. */
export interface JointPart {
  readonly slot: number;
  readonly family: number;
  readonly token: number;
  readonly flags: number;
  /** Its operations: bytes `from` to `to`; in front of them, so many bytes of what it has read. */
  readonly reads: number;
  readonly from: number;
  readonly to: number;
}

/** A joint transaction, as one worker sees it. */
export interface JointTransaction {
  readonly request: Request;
  readonly memory: OperationMemory;
  /** Bytes that the parts of all workers take in a record, about. */
  readonly bytes: number;
  /** The other workers, ascending, and the slots of their families: only the coordinator knows them. */
  readonly workers: readonly number[];
  readonly otherSlots: readonly number[];
  readonly parts: readonly JointPart[];
}

/** What a part with so many bytes of operations takes in a record. */
export function jointPartBytes(operations: number): number {
  return PART_HEADER_BYTES + operations;
}

export function encodeJointHead(
  bytes: number,
  workers: readonly number[],
  otherSlots: readonly number[],
): Uint8Array {
  const head = [bytes >>> 0, Math.floor(bytes / 2 ** 32), workers.length, otherSlots.length];
  return new Uint8Array(new Uint32Array([...head, ...workers, ...otherSlots]).buffer);
}

/** The header of a part, before its operations. */
export function encodeJointPart(
  part: Omit<JointPart, "reads" | "from" | "to">,
  bytes: number,
): Uint8Array {
  const { slot, family, token, flags } = part;
  return new Uint8Array(new Uint32Array([slot, family, token, flags, bytes]).buffer);
}

export function readJoint(request: Request): JointTransaction {
  const { memory, from, to } = request;
  const { u32 } = memory;
  const head = from >> 2;
  const workersAt = head + HEAD_WORDS;
  const slotsAt = workersAt + u32[head + 2];
  const partsAt = slotsAt + u32[head + 3];
  const parts: JointPart[] = [];
  for (let at = partsAt * 4; at < to;) {
    const word = at >> 2;
    const begin = at + PART_WORDS * 4;
    const end = begin + u32[word + 4];
    const flags = u32[word + 3];
    const reads = flags & FLAG_READS ? u32[begin >> 2] : 0;
    parts.push({
      slot: u32[word],
      family: u32[word + 1],
      token: u32[word + 2],
      flags,
      reads,
      from: begin + reads,
      to: end,
    });
    at = end;
  }
  return {
    request,
    memory,
    bytes: u32[head] + u32[head + 1] * 2 ** 32,
    workers: [...u32.subarray(workersAt, slotsAt)],
    otherSlots: [...u32.subarray(slotsAt, partsAt)],
    parts,
  };
}
