/** What has to be undone at the end, in the reverse order of its making. Disposing it again does nothing. */
export class Cleanup implements AsyncDisposable {
  #tasks: (() => Promise<unknown>)[] = [];

  add(task: () => Promise<unknown>): void {
    this.#tasks.push(task);
  }

  use<Resource extends AsyncDisposable>(resource: Resource): Resource {
    this.add(async () => resource[Symbol.asyncDispose]());
    return resource;
  }

  /** Everything is tried, whatever fails; then the first failure is thrown. */
  async [Symbol.asyncDispose](): Promise<void> {
    const failures: unknown[] = [];
    for (let task = this.#tasks.pop(); task !== undefined; task = this.#tasks.pop())
      await task().catch((error: unknown) => failures.push(error));
    if (failures.length > 0) throw failures[0];
  }
}
