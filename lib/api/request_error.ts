/**
 * What a completion that failed means to the caller.
 *
 * @module
 */

import {
  DETAIL_CODECS,
  DETAIL_CONFLICT,
  DETAIL_FAMILY_GONE,
  DETAIL_KEY,
  DETAIL_MEMORY,
  DETAIL_NAME_TAKEN,
  DETAIL_PAGE,
  DETAIL_TABLE_GONE,
  DETAIL_TURN_OVER,
  DETAIL_VALUE,
} from "../engine/requests.ts";
import type { Completion } from "../memory/completions.ts";
import { ERROR_CODES, type ErrorCode, ManifoldError } from "../errors.ts";

/** The error of a refused request, with the worker's detail (lib/engine/requests.ts). */
export class RequestError extends ManifoldError {
  readonly detail: number;

  constructor(code: ErrorCode, message: string, detail: number) {
    super(code, message);
    this.detail = detail;
  }
}

const DETAILS: Record<number, string> = {
  [DETAIL_FAMILY_GONE]: "the column family was deleted; get it again with columnFamily()",
  [DETAIL_TABLE_GONE]: "a table was deleted meanwhile; do it again",
  [DETAIL_CODECS]:
    "a table of this name was made with other codecs; give those, or another name for the table",
  [DETAIL_TURN_OVER]:
    "the transaction took longer than its turn, and others went on; nothing of it was applied; " +
    "make it shorter",
  [DETAIL_CONFLICT]: "what the transaction has read was changed by others; run it again",
  [DETAIL_NAME_TAKEN]: "the name is taken",
  [DETAIL_KEY]: "a key is longer than the page size allows (a quarter of a page); shorten it",
  [DETAIL_MEMORY]:
    "there is no memory for so much at once; nothing was changed; write it in smaller pieces",
  [DETAIL_VALUE]: "a value is longer than 1 GiB; split it",
};

const REMEDIES: Partial<Record<ErrorCode, string>> = {
  "closed": "the database is closed; open it again",
  "disk-full": "no room is left on the disk; nothing was changed; make room and do it again",
  "io": "the file cannot be read or written; nothing was changed; see stats() and the system's log",
  "corrupt": "the file is damaged; restore a backup",
  "too-large": "it exceeds a limit of the database",
  "failed": "the worker failed, and what became of the change is unknown; open the database again",
};

/** The error for a completion that failed; `what` says what was asked and of whom. */
export function requestError(
  completion: Completion,
  what: string,
  pageSize: number,
): RequestError {
  const { status, detail, result } = completion;
  const code = ERROR_CODES[status - 1] ?? "failed";
  const page = detail === DETAIL_PAGE
    ? `page ${result} (at byte ${
      result * pageSize
    }) of the file is damaged; nothing was changed; ` +
      "restore a backup"
    : undefined;
  const why = page ?? DETAILS[detail] ?? REMEDIES[code] ?? `the worker refused it as ${code}`;
  return new RequestError(code, `${what}: ${why}`, detail);
}

/** The error for everything that is asked of a closed database. */
export function closedError(path: string): ManifoldError {
  return new ManifoldError("closed", `the database ${path} is closed; open it again`);
}
