import { DefinitionError, EnvironmentError, errorKind, type Issue, PolyvisorError } from '@polyvisor/core';

/** What keeps a build from starting. */
type Problem = DefinitionError | EnvironmentError;

/** Collects problems instead of stopping at the first, so that a person can mend all of them at once. */
export class Problems {
  readonly #found: Problem[] = [];

  add(problem: Problem): void {
    this.#found.push(problem);
  }

  /** Runs a check and collects what it throws. Errors that are no problem of the person's, cancellation among them, pass through. */
  async collect<T>(check: () => Promise<T> | T): Promise<T | undefined> {
    try {
      return await check();
    } catch (error) {
      const kind = errorKind(error);
      if (kind !== 'definition' && kind !== 'environment') throw error;
      this.#found.push(error as Problem);
      return undefined;
    }
  }

  /** One problem is thrown as it is; several become one error, of the definition if all of them are in it. */
  throwIfAny(): void {
    const [first, ...others] = this.#found;
    if (first === undefined) return;
    if (others.length === 0) throw first;
    const message = `${this.#found.length} problems keep the build from starting`;
    if (this.#found.every((problem) => errorKind(problem) === 'definition')) {
      throw new DefinitionError('preflight-failed', message, { issues: this.#found.flatMap(issuesOf) });
    }
    const list = this.#found.map((problem) =>
      [`\n- ${problem.message}`, problem.hint, ...issueLines(problem)]
        .filter((line) => line !== undefined)
        .join('\n  '),
    );
    throw new EnvironmentError('preflight-failed', `${message}:${list.join('')}`, {
      cause: new AggregateError(this.#found),
    });
  }
}

function issuesOf(problem: PolyvisorError): readonly Issue[] {
  const { issues } = problem as DefinitionError;
  if (issues.length > 0) return issues;
  return [
    { file: problem.code, message: problem.message, ...(problem.hint === undefined ? {} : { hint: problem.hint }) },
  ];
}

function issueLines(problem: Problem): readonly string[] {
  const { issues = [] } = problem as Partial<DefinitionError>;
  // Of a single issue the message may be the whole of it.
  const others = issues.filter(({ message }) => !problem.message.includes(message));
  return others.map(({ file, line, column, message }) =>
    [[file, line, column].filter((part) => part !== undefined).join(':'), message].join(': '),
  );
}
