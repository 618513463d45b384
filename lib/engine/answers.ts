/**
 * What a round answers those who asked, collected until it is published or given up.
 *
 * Invariant: a thread that is dead gets no answer, nor does one that has taken its slot since.
 *
 * @module
 */

import { ERROR_CODES, type ErrorCode, ManifoldError } from "../errors.ts";
import type { Completions } from "../memory/completions.ts";
import type { Control } from "../memory/control.ts";
import type { JointRefusal } from "../memory/joint_words.ts";
import { isAlive } from "../memory/threads.ts";
import { PageError } from "../storage/page_error.ts";
import type { Inbox, Request } from "./inbox.ts";
import { DETAIL_PAGE, Refusal } from "./requests.ts";

export interface Answer {
  readonly request: Request;
  readonly status: number;
  readonly detail: number;
  readonly result: number;
}

export function accepted(request: Request, result: number): Answer {
  return { request, status: 0, detail: 0, result };
}

export function refused(
  request: Request,
  code: ErrorCode,
  detail: number,
  result: number = 0,
): Answer {
  return { request, status: ERROR_CODES.indexOf(code) + 1, detail, result };
}

export function refusalOf(code: ErrorCode, detail: number): JointRefusal {
  return { code, detail, result: 0 };
}

/** What the error says to who has asked; one that does not come from the request is thrown on. */
export function refusalFor(error: unknown): JointRefusal {
  if (error instanceof Refusal) return refusalOf(error.code, error.detail);
  if (!(error instanceof ManifoldError)) throw error;
  const page = error instanceof PageError ? error.page : 0;
  return { code: error.code, detail: page > 0 ? DETAIL_PAGE : 0, result: page };
}

export interface AnswersParts {
  readonly control: Control;
  readonly completions: Completions;
  readonly inbox: Inbox;
  /** The worker's. */
  readonly thread: number;
}

export class Answers {
  readonly #parts: AnswersParts;
  #waiting: Answer[] = [];

  constructor(parts: AnswersParts) {
    this.#parts = parts;
  }

  add(answers: readonly Answer[]): void {
    this.#waiting.push(...answers);
  }

  accept(request: Request, result: number): void {
    this.#waiting.push(accepted(request, result));
  }

  refuse(request: Request, code: ErrorCode, detail: number, result: number = 0): void {
    this.#waiting.push(refused(request, code, detail, result));
  }

  /** @throws {unknown} the error, if it does not come from the request. */
  refuseFor(request: Request, error: unknown): void {
    const { code, detail, result } = refusalFor(error);
    this.refuse(request, code, detail, result);
  }

  /** Whether the thread that asked still lives. */
  lives({ thread, session }: Request): boolean {
    return isAlive(this.#parts.control, thread, session);
  }

  /** Sends what was collected, and gives the memory of the requests back. */
  send(): void {
    const { completions, inbox, thread } = this.#parts;
    let open = -1;
    for (const { request, status, detail, result } of this.#waiting) {
      if (open !== request.thread) {
        if (open >= 0) completions.end(open);
        completions.begin(request.thread, thread);
        open = request.thread;
      }
      if (this.lives(request)) {
        completions.put(request.thread, request.request, status, detail, result);
      }
    }
    if (open >= 0) completions.end(open);
    this.#waiting = [];
    inbox.release();
  }
}
