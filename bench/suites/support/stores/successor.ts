/** The first key behind all that begin with `prefix`; undefined if there is none. */
export function successor(prefix: Uint8Array): Uint8Array | undefined {
  const last = prefix.findLastIndex((byte) => byte < 255);
  if (last < 0) return undefined;
  const next = prefix.slice(0, last + 1);
  next[last]++;
  return next;
}
