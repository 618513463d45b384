/**
 * The start of the README, made runnable: `deno run -A examples/readme.ts`, `bun run examples/readme.ts`.
 *
 * @module
 */

import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { json, open, text } from "../mod.ts";

interface Profile {
  name: string;
  visits: number;
}

async function main(path: string): Promise<void> {
  await using db = await open(path);
  const users = await db.columnFamily("users"); // made on first use
  const profiles = users.table("profiles", { key: text, value: json<Profile>() });

  await profiles.set("ada", { name: "Ada", visits: 1 }); // resolves when it is durable
  console.log(profiles.get("ada")); // synchronous: Profile | undefined
  for (const [id, profile] of profiles.entries({ prefix: "a" })) console.log(id, profile);

  await users.transaction((tx) => { // serializable
    const t = tx.table(profiles);
    const ada = t.get("ada")!;
    t.set("ada", { ...ada, visits: ada.visits + 1 });
  });
  console.log(profiles.get("ada")?.visits); // 2
}

const dir = await mkdtemp(join(tmpdir(), "manifold-readme-"));
try {
  await main(join(dir, "shop.manifold"));
} finally {
  await rm(dir, { recursive: true, force: true });
}
