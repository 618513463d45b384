/** The same way to talk to the thread that started this one, for node and for web workers. */

import { parentPort, workerData } from "node:worker_threads";

interface WebWorkerScope {
  onmessage: ((event: MessageEvent) => void) | null;
  postMessage(message: unknown): void;
  close?(): void;
}

const scope = globalThis as unknown as WebWorkerScope;
const isNode = workerData !== null && workerData !== undefined;

/** What this thread was started with. */
export function firstMessage(): Promise<unknown> {
  if (isNode) return Promise.resolve(workerData);
  return new Promise((resolve) => {
    scope.onmessage = (event) => {
      scope.onmessage = null;
      resolve(event.data);
    };
  });
}

/** Sends to the thread that started this one. */
export function post(message: unknown): void {
  if (isNode) parentPort!.postMessage(message);
  else scope.postMessage(message);
}

/** Ends a web worker. */
export function close(): void {
  scope.close?.();
}
