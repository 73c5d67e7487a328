type Step = () => Promise<unknown>;

/** Undoes what was done, in reverse order, whatever happened. Disposing is idempotent, and every step runs although others fail. */
export class CleanupStack implements AsyncDisposable {
  readonly #steps: Step[] = [];

  defer(step: Step): void {
    this.#steps.push(step);
  }

  /** Takes ownership of a resource. */
  use<T extends AsyncDisposable>(resource: T): T {
    this.defer(async () => resource[Symbol.asyncDispose]());
    return resource;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const failures: unknown[] = [];
    for (let step = this.#steps.pop(); step !== undefined; step = this.#steps.pop()) {
      await step().catch((error: unknown) => failures.push(error));
    }
    if (failures.length === 1) throw failures[0];
    if (failures.length > 1) throw new AggregateError(failures, 'several things could not be cleaned up');
  }
}
