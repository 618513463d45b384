/**
 * Ways to break the shipped code that the simulator must notice: each takes one rule of the design
 * away. They are inert until the kernel's `breakage` names one.
 *
 * @module
 */

import type { Patch } from "./build.ts";

/** The condition that a breakage is on. */
export const on = (name: string): string => `($s as any).breakage === ${JSON.stringify(name)}`;

interface Breakage {
  readonly name: string;
  readonly patches: readonly Patch[];
}

const KEEPER = "lib/engine/keeper.ts";
const KEEPER_LOOP = "workers/keeper_worker.ts";
const WRITER_LOOP = "workers/writer_worker.ts";

/** A statement that is left out. */
function without(name: string, file: string, statement: string, before = "", after = ""): Breakage {
  const from = `${before}${statement}${after}`;
  return {
    name,
    patches: [{ file, from, to: `${before}if (!(${on(name)})) ${statement}${after}` }],
  };
}

/** An expression that is another one. */
function instead(name: string, file: string, from: string, to: string): Breakage {
  return { name, patches: [{ file, from, to: to.replace("ON", () => on(name)) }] };
}

const EARLY_PINS = "look at pins before epochs";
const ANY_ORDER = "take turns in any order";
const EARLY_LIFE = "append to the log before a meta page names its salt";
const LATE_HEADER = "name the log's salt before its header is there";

/** Explored as well (cases/breakages.ts). */
export const PINS_BEFORE_EPOCHS: Breakage = {
  name: EARLY_PINS,
  patches: [{
    file: "lib/engine/retired_pages.ts",
    from: "    const horizon = family.horizon();\n    const pins = family.pins();",
    to: `    const early = ${on(EARLY_PINS)} ? family.pins() : undefined;\n` +
      "    const horizon = family.horizon();\n    const pins = early ?? family.pins();",
  }],
};

export const BREAKAGES: readonly Breakage[] = [
  {
    name: "skip the log's sync",
    patches: [{
      file: "lib/log/group_commit.ts",
      from: "    try {\n      file.sync();\n    } catch (cause) {\n      // The lead",
      to:
        `    try {\n      if (!(${
          on("skip the log's sync")
        })) file.sync();\n    } catch (cause) {\n` +
        `      if (${on("go on after a failed sync")}) file.sync(); else\n      // The lead`,
    }],
  },
  { name: "go on after a failed sync", patches: [] }, // with the one above
  {
    name: "skip the sync of data pages and directory",
    patches: [{
      file: KEEPER,
      from: "      file.write(start * arena.pageSize, padded);\n",
      to:
        `      if (${
          on("write the meta page before the directory")
        }) (this as any).late = padded;\n` +
        "      else file.write(start * arena.pageSize, padded);\n",
    }, {
      file: KEEPER,
      from: "      this.sync(file); // pages, overflow",
      to: `      if (!(${
        on("skip the sync of data pages and directory")
      })) this.sync(file); // overflow`,
    }],
  },
  {
    name: "write the meta page before the directory",
    patches: [{
      file: KEEPER,
      from: "    if (checkpoint.beyondLog) this.#writeMetaAgain();\n",
      to: `    if (${on("write the meta page before the directory")}) {\n` +
        "      file.write(start * arena.pageSize, (this as any).late);\n      this.sync(file);\n    }\n" +
        "    if (checkpoint.beyondLog) this.#writeMetaAgain();\n",
    }],
  },
  {
    name: "skip the sync of the parent directory",
    patches: [{
      file: KEEPER_LOOP,
      from: "this.#data.logBytes, () => {\n      runtime.syncDirectory",
      to: "this.#data.logBytes, () => {\n" +
        `      if (!(${on("skip the sync of the parent directory")})) runtime.syncDirectory`,
    }, {
      file: "lib/api/create_file.ts",
      from: "    runtime.syncDirectory(directoryOf(path));",
      to: `    if (!(${on("skip the sync of the parent directory")})) ` +
        "runtime.syncDirectory(directoryOf(path));",
    }],
  },
  {
    name: "skip the sync of overflow extents",
    patches: [{
      file: "lib/storage/overflow.ts",
      from: "    store.file.write(offset, joined);\n",
      to: `    (store.file as any).neverSynced = ${on("skip the sync of overflow extents")};\n` +
        "    store.file.write(offset, joined);\n    (store.file as any).neverSynced = false;\n",
    }],
  },
  instead(
    "publish before it is durable",
    WRITER_LOOP,
    "const isThere = writer.needsSync\n",
    "const isThere = writer.needsSync && !(ON)\n",
  ),
  instead(
    "answer eventual commits before they are written",
    WRITER_LOOP,
    ": this.#awaitWritten(this.#end);",
    ": (ON) || this.#awaitWritten(this.#end);",
  ),
  instead(
    "reuse a page one version too early",
    "lib/engine/retired_pages.ts",
    "firstPin(pins, runs.birth[i], runs.retired[i])",
    "firstPin(pins, runs.birth[i], runs.retired[i] - (ON ? 1 : 0))",
  ),
  instead(
    "ignore one thread's epoch",
    "lib/memory/epochs.ts",
    "if (epoch !== 0 && ((epoch",
    "if (epoch !== 0 && !(i === 0 && ON) && ((epoch",
  ),
  PINS_BEFORE_EPOCHS,
  instead(
    "forget the pin of the durable checkpoint",
    "lib/engine/family_pager.ts",
    "const durable = slots.durableVersion(slot);",
    "const durable = ON ? -1 : slots.durableVersion(slot);",
  ),
  instead(
    "forget the pin of the checkpoint in progress",
    "lib/engine/family_pager.ts",
    "const inProgress = slots.checkpointVersion(slot);",
    "const inProgress = ON ? -1 : slots.checkpointVersion(slot);",
  ),
  {
    name: "free an extent before the checkpoint",
    patches: [{
      file: KEEPER,
      from: "    const start = extents.take(pages, DIRECTORY_OWNER);\n",
      to: `    if (${on("free an extent before the checkpoint")}) {\n` +
        "      extents.free((extent) => extent.start === this.meta.directoryPage);\n    }\n" +
        "    const start = extents.take(pages, DIRECTORY_OWNER);\n",
    }],
  },
  instead(
    "forget the pins of a deleted family",
    KEEPER,
    "if (pins.versionsOf(id).length > 0) continue;",
    "if (!(ON) && pins.versionsOf(id).length > 0) continue;",
  ),
  {
    name: "take turns in any order",
    patches: [{
      file: "lib/api/joint.ts",
      from: "[...writes].sort((a, b) => a.access.id - b.access.id)",
      to: "[...writes].sort((a, b) => " +
        `(${
          on(ANY_ORDER)
        } ? 1 - open.session.memory.thread % 2 * 2 : 1) * (a.access.id - b.access.id))`,
    }, {
      file: "lib/api/database.ts",
      from: "sort((a, b) => a.id - b.id)",
      to: "sort((a, b) => " +
        `(${on(ANY_ORDER)} ? 1 - a.open.session.memory.thread % 2 * 2 : 1) * (a.id - b.id))`,
    }],
  },
  instead(
    "hand over the allocator image of now",
    "lib/engine/family.ts",
    "    this.#writeImage(entry, version, absent);",
    "    this.#writeImage(entry, version, ON ? [] : absent);",
  ),
  instead(
    "accept a record with a bad checksum",
    "lib/log/recovery_scan.ts",
    "if (checksum !== undefined && !recordVerifies(bytes, checksum)) return undefined;",
    "if (checksum !== undefined && !(ON) && !recordVerifies(bytes, checksum)) return undefined;",
  ),
  {
    name: "no salt",
    patches: [{
      file: "lib/log/record.ts",
      from:
        "  for (let i = 0; i < salt.length; i++) if (bytes[16 + i] !== salt[i]) return undefined;",
      to: `  for (let i = 0; i < salt.length && !(${on("no salt")}); i++) ` +
        "if (bytes[16 + i] !== salt[i]) return undefined;",
    }],
  },
  {
    name: "append refused transactions to the log",
    patches: [{
      file: "lib/engine/writer.ts",
      from: "      this.bypass = false;\n      group.answers.push(refused(",
      to: `      if (${on("append refused transactions to the log")}) {\n` +
        "        this.record.append(memory.u8, from, to);\n      }\n" +
        "      this.bypass = false;\n      group.answers.push(refused(",
    }],
  },
  without(
    "leave a record whose transaction failed in the log",
    "lib/engine/writer.ts",
    "this.#parts.earlyLog!.void();",
    "if (this.isLogged) ",
  ),
  without(
    "keep a partly applied group",
    "lib/engine/writer.ts",
    "group.family.engine.discard();",
    "  #dropGroup(group: Group): void {\n    ",
  ),
  without(
    "do not write the chosen meta page again",
    KEEPER,
    "this.#writeMeta(this.meta);",
    "  rewriteMeta(): void {\n    ",
  ),
  instead(
    "leave the clean flag set",
    KEEPER,
    "this.#writeNextMeta({ ...this.meta, clean: false,",
    "this.#writeNextMeta({ ...this.meta, clean: ON ? this.meta.clean : false,",
  ),
  instead(
    "skip the sync of the meta page",
    KEEPER,
    "encodeMeta(meta, checksum));\n    this.sync(file);",
    "encodeMeta(meta, checksum));\n    if (!(ON)) this.sync(file);",
  ),
  {
    name: "append to the log before a meta page names its salt",
    patches: [{
      file: KEEPER,
      from: "      syncName();\n",
      to: `      if (${on(EARLY_LIFE)}) this.#commit.begin(capacity, filled);\n      syncName();\n`,
    }, {
      file: KEEPER,
      from: "    this.#commit.begin(capacity, filled);\n  }",
      to: `    if (!(${on(EARLY_LIFE)})) this.#commit.begin(capacity, filled);\n  }`,
    }, {
      file: KEEPER_LOOP,
      from: "(directoryOf(this.#logPath));\n    });\n    setLife(",
      to: "(directoryOf(this.#logPath));\n" +
        `      if (${on(EARLY_LIFE)}) setLife(this.#memory.control, LIFE_BEGUN);\n    });\n` +
        "    setLife(",
    }],
  },
  {
    name: "name the log's salt before its header is there",
    patches: [{
      file: KEEPER,
      from:
        "      log.write(0, encodeLogHeader({ uuid, salt, capacity, generation }, checksum));\n",
      to: `      const isLate = ${on(LATE_HEADER)};\n` +
        "      const header = encodeLogHeader({ uuid, salt, capacity, generation }, checksum);\n" +
        "      if (!isLate) log.write(0, header);\n",
    }, {
      file: KEEPER,
      from: "salt, logPosition: 0 });\n",
      to: "salt, logPosition: 0 });\n" +
        "      if (isLate) {\n        log.write(0, header);\n        this.sync(log);\n      }\n",
    }],
  },
  instead(
    "begin a recovery behind what is not published",
    KEEPER,
    "recoverFrom: this.#commit.recoverFrom(),",
    "recoverFrom: ON ? this.#commit.tail : this.#commit.recoverFrom(),",
  ),
  {
    name: "pin a checkpoint without the publish lock",
    patches: [{
      file: KEEPER,
      from:
        "    this.#publishLock.acquire(thread);\n    try {\n      for (const slot of slots.used()) {",
      to: `    const isLoose = ${on("pin a checkpoint without the publish lock")};\n` +
        "    if (!isLoose) this.#publishLock.acquire(thread);\n    try {\n" +
        "      for (const slot of slots.used()) {",
    }, {
      file: KEEPER,
      from:
        "        epoch: epochs.tag(),\n      };\n    } finally {\n      this.#publishLock.release();",
      to: "        epoch: epochs.tag(),\n      };\n    } finally {\n" +
        "      if (!isLoose) this.#publishLock.release();",
    }],
  },
  instead(
    "free too much of the log",
    KEEPER,
    "    this.#commit.freeUpTo(checkpoint.recoverFrom);",
    "    this.#commit.freeUpTo(ON ? this.#commit.tail : checkpoint.recoverFrom);",
  ),
  instead(
    "publish a bypassing transaction before its checkpoint",
    WRITER_LOOP,
    '      if (outcome === "done") break;',
    '      if (outcome === "done" || ON) break;',
  ),
  instead(
    "withdraw a version that another checkpoint has pinned",
    "lib/engine/writer.ts",
    "if (slots.checkpointVersion(slot) === version) return",
    "if (!(ON) && slots.checkpointVersion(slot) === version) return",
  ),
  instead(
    "retire an image late",
    "lib/engine/family_pager.ts",
    "served ? birth + 1 : 0",
    "ON ? this.#version : served ? birth + 1 : 0",
  ),
  without(
    "keep what a dead thread has reserved",
    "lib/api/host.ts",
    "for (const ring of rings) if (!ring.releaseOf(dead, me)) return false;",
  ),
  instead(
    "vote before apply",
    "lib/engine/joint_commit.ts",
    "if (refusal === undefined) this.#offer();",
    "if (refusal === undefined || ON) this.#offer();",
  ),
  instead(
    "skip the validation of a key",
    "lib/engine/reads.ts",
    "if (treesDiffer(pager, read, now, bound, bound)) return false;",
    "if (!(ON) && treesDiffer(pager, read, now, bound, bound)) return false;",
  ),
  instead(
    "skip the validation of a range",
    "lib/engine/reads.ts",
    "if (treesDiffer(pager, read, now, lower, upper)) return false;",
    "if (!(ON) && treesDiffer(pager, read, now, lower, upper)) return false;",
  ),
  without(
    "do not note what a count has counted",
    "lib/api/overlay.ts",
    "this.noteRange(lower, upper);",
    "",
    "\n    return this.#count(lower, upper);",
  ),
  instead(
    "validate against the version before the group",
    "lib/engine/family_tables.ts",
    "    return table?.entry.root;",
    "    return ON ? table?.before : table?.entry.root;",
  ),
  {
    name: "release the pin before the verdict",
    patches: [{
      file: "lib/api/attempt.ts",
      from: "    return access.submit(\n      client,\n      REQUEST_TRANSACTION,",
      to: `    if (${on("release the pin before the verdict")}) part.view.source.dispose();\n` +
        "    return access.submit(\n      client,\n      REQUEST_TRANSACTION,",
    }],
  },
  instead(
    "replay what a family contains already",
    "lib/engine/recovery.ts",
    "if (part.version <= contained) continue;",
    "if (part.version <= contained && !(ON)) continue;",
  ),
  instead(
    "take a worker that has nothing to apply for one that has",
    WRITER_LOOP,
    "    if (applied) recoveryDone(",
    "    if (applied || ON) recoveryDone(",
  ),
  instead(
    "keep all changes of a recovery under one version",
    "lib/engine/recovery.ts",
    "part.from, part.to, null, part.version);",
    "part.from, part.to, null, ON ? undefined : part.version);",
  ),
  without(
    "forget the writes that wait in a recovery",
    "lib/engine/application.ts",
    "this.applyGathered(memory);",
  ),
  without(
    "use a piece of the log anew under the writes that wait",
    "lib/engine/recovery.ts",
    "reader.onMove = () => this.#applyGathered();",
  ),
];

/**
 * Those that nearly every history meets: of nine seeds each was noticed within 100 power cuts. The others take
 * hundreds, or thousands.
 */
export const QUICK: ReadonlySet<string> = new Set([
  "skip the log's sync",
  "skip the sync of the meta page",
  "name the log's salt before its header is there",
  "write the meta page before the directory",
  "skip the sync of the parent directory",
  "skip the sync of overflow extents",
  "publish before it is durable",
  "reuse a page one version too early",
  "forget the pin of the durable checkpoint",
  "forget the pin of the checkpoint in progress",
  "free an extent before the checkpoint",
  "hand over the allocator image of now",
  "no salt",
  "leave the clean flag set",
  "publish a bypassing transaction before its checkpoint",
  "skip the validation of a key",
  "skip the validation of a range",
  "do not note what a count has counted",
  "validate against the version before the group",
  "release the pin before the verdict",
  "keep all changes of a recovery under one version",
]);

/** All of them, for one build. */
export const BREAKAGE_PATCHES: readonly Patch[] = BREAKAGES.flatMap(({ patches }) => patches);
