/**
 * The caller's side of a transaction over several families: all of it or nothing, whatever workers write them
 * (lib/engine/joint_commit.ts is theirs).
 *
 * Invariants: a thread's joint transaction keeps its place among what the thread asks of each of its families
 * (family_lines.ts); turns are taken in the order of the families' ids, by everybody.
 *
 * @module
 */

import { encodeJointHead, encodeJointPart, jointPartBytes } from "../engine/joint.ts";
import { DETAIL_BUSY, REQUEST_JOINT, REQUEST_RELEASE, REQUEST_TURN } from "../engine/requests.ts";
import type { Client } from "./client.ts";
import { type FamilyAccess, isTableGone, type OpenSession } from "./family_access.ts";
import type { NamedTable, OperationsWriter } from "./operations_writer.ts";
import { RequestError } from "./request_error.ts";

/** How long a worker waits for the commit of who has taken a family's turn, ms. */
const TURN_MS = 60_000;

const NO_PAYLOAD = new Uint8Array(0);

/** What is to be written to one family. */
export interface FamilyWrites {
  readonly access: FamilyAccess;
  /** Its operations; not to be changed before the end. */
  readonly writer: OperationsWriter;
  /** The tables that the operations call by their ids, to be opened by name if one of them is gone. */
  readonly named: readonly NamedTable[];
  /** Flags of its part. */
  readonly flags?: number;
}

/** Whether a joint transaction was refused because of somebody's turn. */
export function isBusy(error: unknown): boolean {
  return error instanceof RequestError && error.detail === DETAIL_BUSY;
}

/** Writes to several families, all or nothing. */
export class JointCommit {
  readonly #open: OpenSession;
  readonly #client: Client;
  readonly #flags: number;
  readonly #writes: readonly FamilyWrites[];
  readonly #describe: () => string;
  /** Whether it takes turns that others have, rather than being refused. */
  readonly #takesTurns: boolean;
  /** Tokens of the turns that it holds, by family. */
  readonly #tokens: Map<number, number>;
  #reopened = false;

  /** `writes`: one for each family. `tokens`: of turns that it has; then, or if there are none, it takes none itself. */
  constructor(
    open: OpenSession,
    client: Client,
    flags: number,
    writes: readonly FamilyWrites[],
    what: () => string,
    tokens?: ReadonlyMap<number, number>,
  ) {
    this.#takesTurns = tokens === undefined;
    this.#tokens = new Map(tokens);
    this.#open = open;
    this.#client = client;
    this.#flags = flags;
    // So that nobody who takes turns waits for one whose holder waits for his.
    this.#writes = [...writes].sort((a, b) => a.access.id - b.access.id);
    this.#describe = () => `${what()}, database ${open.session.path}`;
  }

  /** Resolves when all is applied, and as durable as was asked for. */
  run(): Promise<void> {
    // What is asked for later waits for its turns anyway; and what was asked for before may wait for them.
    if (this.#tokens.size > 0) return this.#run();
    return this.#open.lines.decide(this.#writes.map(({ access }) => access.id), () => this.#run());
  }

  async #run(): Promise<void> {
    for (;;) {
      try {
        await this.#send();
        return;
      } catch (error) {
        this.#releaseTurns();
        if (this.#takesTurns && isBusy(error)) await this.#takeTurns();
        else if (!isTableGone(error) || !this.#reopen()) throw error;
      }
    }
  }

  /** Names all tables by their names: one was deleted, and perhaps made anew. False if that was done before. */
  #reopen(): boolean {
    if (this.#reopened || this.#writes.every(({ named }) => named.length === 0)) return false;
    this.#reopened = true;
    for (const { writer, named } of this.#writes) writer.reopen(named);
    return true;
  }

  async #takeTurns(): Promise<void> {
    for (const { access: { slot, id } } of this.#writes) {
      try {
        const token = await this.#client.submit({
          slot,
          family: id,
          kind: REQUEST_TURN,
          flags: 0,
          argument: TURN_MS,
          payload: NO_PAYLOAD,
          kept: true,
          urgent: this.#tokens.size > 0, // all that is under way may wait for a turn that it has
          describe: this.#describe,
        });
        this.#tokens.set(id, token);
      } catch (error) {
        this.#releaseTurns();
        throw error;
      }
    }
  }

  /** What was refused may not have reached all whose turns it had. */
  #releaseTurns(): void {
    for (const { access: { slot, id } } of this.#writes) {
      const token = this.#tokens.get(id);
      if (token === undefined) continue;
      this.#client.submit({
        slot,
        family: id,
        kind: REQUEST_RELEASE,
        flags: 0,
        argument: token,
        payload: NO_PAYLOAD,
        kept: true,
        urgent: true,
        describe: this.#describe,
      }).catch(() => {}); // it fails only with the family or the database, and so does the turn
    }
    this.#tokens.clear();
  }

  #send(): Promise<number> {
    const { slots } = this.#open.session.memory;
    const byWorker = new Map<number, FamilyWrites[]>();
    let bytes = 0;
    for (const write of this.#writes) {
      const worker = slots.worker(write.access.slot);
      const list = byWorker.get(worker);
      if (list === undefined) byWorker.set(worker, [write]);
      else list.push(write);
      const { byteLength, readBytes } = write.writer;
      bytes += jointPartBytes(byteLength - readBytes);
    }
    const [coordinator, ...others] = [...byWorker.keys()].sort((a, b) => a - b);
    const mine = byWorker.get(coordinator)!;
    const otherSlots = others.flatMap((one) => byWorker.get(one)!.map(({ access }) => access.slot));
    return this.#client.submit({
      slot: mine[0].access.slot,
      family: mine[0].access.id,
      kind: REQUEST_JOINT,
      flags: this.#flags,
      argument: 0,
      urgent: this.#tokens.size > 0,
      payload: [encodeJointHead(bytes, others, otherSlots), ...this.#partsOf(mine)],
      kept: true,
      stashes: others.map((worker) => ({
        worker,
        payload: [encodeJointHead(bytes, [], []), ...this.#partsOf(byWorker.get(worker)!)],
      })),
      describe: this.#describe,
    });
  }

  #partsOf(writes: readonly FamilyWrites[]): Uint8Array[] {
    const pieces: Uint8Array[] = [];
    for (const { access, writer, flags } of writes) {
      const { slot, id } = access;
      const token = this.#tokens.get(id) ?? 0;
      const part = { slot, family: id, token, flags: flags ?? 0 };
      const { payload } = writer.take(true);
      pieces.push(encodeJointPart(part, writer.byteLength));
      if (payload instanceof Uint8Array) pieces.push(payload);
      else pieces.push(...payload);
    }
    return pieces;
  }
}
