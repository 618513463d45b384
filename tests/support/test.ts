/**
 * One way to register a test on both runtimes.
 *
 * On Deno the sanitizers are off: a database owns threads, timers and files that outlive the test
 * function by design (they end with the database, or with the thread that holds it).
 *
 * @module
 */

/** How a test is run. */
export interface TestOptions {
  /** The test fails after this many milliseconds; 120,000 when not given. */
  timeoutMs?: number;
  /** The test is registered and not run. */
  ignore?: boolean;
}

type TestFunction = () => void | Promise<void>;

const DEFAULT_TIMEOUT_MS = 120_000;

/** What is used of `bun:test`. */
interface BunTest {
  test: ((name: string, fn: TestFunction, options: { timeout: number }) => void) & {
    skip(name: string, fn: TestFunction): void;
  };
}

const onDeno = typeof (globalThis as { Deno?: unknown }).Deno !== "undefined";
const bunTestSpecifier = "bun:test";
const bunTest = onDeno ? undefined : await import(bunTestSpecifier) as BunTest;

async function withTimeout(fn: TestFunction, timeoutMs: number): Promise<void> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(
      () => reject(new Error(`the test took longer than ${timeoutMs} ms`)),
      timeoutMs,
    );
  });
  try {
    await Promise.race([fn(), late]);
  } finally {
    clearTimeout(timer);
  }
}

/** Registers a test. */
export function test(name: string, fn: TestFunction): void;
/** Registers a test with options. */
export function test(name: string, options: TestOptions, fn: TestFunction): void;
export function test(
  name: string,
  second: TestOptions | TestFunction,
  third?: TestFunction,
): void {
  const options = typeof second === "function" ? {} : second;
  const fn = typeof second === "function" ? second : third!;
  const timeoutMs = options.timeoutMs ?? DEFAULT_TIMEOUT_MS;
  if (bunTest !== undefined) {
    if (options.ignore) bunTest.test.skip(name, fn);
    // The runner's own limit is only the last resort: ours says what happened.
    else bunTest.test(name, () => withTimeout(fn, timeoutMs), { timeout: timeoutMs + 5_000 });
    return;
  }
  Deno.test({
    name,
    ignore: options.ignore ?? false,
    sanitizeOps: false,
    sanitizeResources: false,
    sanitizeExit: false,
    fn: () => withTimeout(fn, timeoutMs),
  });
}
