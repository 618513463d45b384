import type { Store, StoreKind, StoreOptions } from "./store.ts";

/** How each is loaded: in its own process only, so that none pays for another's module. */
const kinds: Readonly<Record<string, () => Promise<StoreKind>>> = {
  manifold: async () => (await import("./manifold.ts")).manifoldStore,
  lmdb: async () => (await import("./lmdb.ts")).lmdbStore,
  sqlite: async () => (await import("./sqlite.ts")).sqliteStore,
};

/** The engines that have a store, by the names that they have in engines/. */
export const storeEngines: readonly string[] = Object.keys(kinds);

function kindOf(engine: string): Promise<StoreKind> {
  if (!Object.hasOwn(kinds, engine)) throw new Error(`no store is named ${engine}`);
  return kinds[engine]();
}

/** Opens the database in a directory, or makes it there. */
export async function openStore(
  engine: string,
  dir: string,
  options: StoreOptions = {},
): Promise<Store> {
  return await (await kindOf(engine)).open(dir, options);
}

/** Opens it in one more thread; `shared` is what {@linkcode Store.share} gave. */
export async function joinStore(engine: string, dir: string, shared: unknown): Promise<Store> {
  return await (await kindOf(engine)).join(dir, shared);
}
