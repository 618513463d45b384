/** A process whose main module ends while a request is under way, for `api_client_test.ts`. */

import { setTimeout } from "node:timers";
import { Client } from "../../lib/api/client.ts";
import { REQUEST_TRANSACTION } from "../../lib/engine/requests.ts";
import { clientMemory, FakeWorker } from "../support/fake_worker.ts";

const memory = clientMemory(1024);
const worker = new FakeWorker(memory, () => ({ result: 7 }));
const client = new Client(memory, "child");
client.submit({
  slot: 0,
  family: 1,
  kind: REQUEST_TRANSACTION,
  flags: 0,
  argument: 0,
  payload: new Uint8Array(4),
  describe: () => "test",
}).then((result) => console.log(`answered ${result}`));
// Does not hold the process open itself: the client has to.
setTimeout(() => worker.serve(), 300).unref();
console.log("end of main");
