/** What was asked for wrongly: told without a stack. */
export class UsageError extends Error {}

/** This machine lacks what a part of the benchmarks needs: told without a stack. */
export class UnavailableError extends Error {}
