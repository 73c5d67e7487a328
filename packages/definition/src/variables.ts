import { didYouMean, type Issue } from '@polyvisor/core';
import { DefinitionError } from '@polyvisor/core';
import { checkPart } from './check.js';
import type { DocumentPath, SourceDocument } from './document.js';
import { SHORTEST_SECRET } from './redact.js';
import { variableSchema } from './schema.js';
import { environmentName, substitute, VARIABLE_NAME } from './substitute.js';

/** In front of the names of variables in the environment of the command: `POLYVISOR_VAR_ssh_key` for `ssh-key`. */
export const ENVIRONMENT_PREFIX = 'POLYVISOR_VAR_';

/** Exists without being declared: the archive to install from. Has no value until one is given. */
export const MIRROR_VARIABLE = 'mirror';

export interface Variable {
  readonly value: string | undefined;
  readonly secret: boolean;
  /** True when the user gave the value; false when the definition did. */
  readonly given: boolean;
}

/** One value that the user gave, and where. */
export interface GivenValue {
  readonly name: string;
  readonly value: string;
  readonly issueAt: (message: string) => Issue;
  /** Said of the environment, whose names have no hyphens and which may hold variables of other definitions. */
  readonly ofEnvironment?: boolean;
}

/** Reads `name=value`, as `--var` has it. Throws one `DefinitionError` for all that are not so. */
export function parseVariables(assignments: readonly string[]): Record<string, string> {
  const wrong = assignments.filter((text) => !VARIABLE_NAME.test(text.split('=', 1)[0] ?? '') || !text.includes('='));
  if (wrong.length > 0) {
    const issues = wrong.map((text) => ({
      file: '--var',
      message: `${JSON.stringify(text.split('=', 1)[0])} is not name=value`,
    }));
    throw new DefinitionError('variables-invalid', issues.map((issue) => `--var: ${issue.message}`).join('; '), {
      issues,
      hint: 'write --var name=value; the name has letters, digits, "_" and "-"',
    });
  }
  return Object.fromEntries(
    assignments.map((text) => [text.slice(0, text.indexOf('=')), text.slice(text.indexOf('=') + 1)]),
  );
}

export function fromCommandLine(values: Readonly<Record<string, string>>): GivenValue[] {
  return Object.entries(values).map(([name, value]) => ({
    name,
    value,
    issueAt: (message) => ({ file: `--var ${name}`, message }),
  }));
}

export function fromEnvironment(environment: Readonly<Record<string, string | undefined>>): GivenValue[] {
  return Object.entries(environment).flatMap(([key, value]) =>
    key.startsWith(ENVIRONMENT_PREFIX) && value !== undefined
      ? [
          {
            name: key.slice(ENVIRONMENT_PREFIX.length),
            value,
            issueAt: (message: string) => ({ file: `environment variable ${key}`, message }),
            ofEnvironment: true,
          },
        ]
      : [],
  );
}

/** Joins what the definition declares with what the user gave; of several values for one name the last wins. */
export function resolveVariables(
  declared: unknown,
  given: readonly GivenValue[],
  source: SourceDocument,
  issues: Issue[],
): Map<string, Variable> {
  const variables = new Map<string, Variable>([[MIRROR_VARIABLE, { value: undefined, secret: false, given: false }]]);
  const required = new Set<string>();
  const byEnvironment = new Map<string, string>([[MIRROR_VARIABLE, MIRROR_VARIABLE]]);
  if (typeof declared === 'object' && declared !== null && !Array.isArray(declared)) {
    for (const [name, value] of Object.entries(declared)) {
      // A bad name is reported with the section as a whole.
      if (!VARIABLE_NAME.test(name)) continue;
      const details = checkPart(variableSchema, value, ['variables', name], source, issues);
      variables.set(name, { value: details?.default, secret: details?.secret ?? false, given: false });
      if (details?.required === true) required.add(name);
      const other = byEnvironment.get(environmentName(name)) ?? name;
      byEnvironment.set(environmentName(name), name);
      if (other !== name) {
        const message = `variables "${other}" and "${name}" have the same name in the environment of scripts`;
        issues.push(source.issueAt(['variables', name], message, 'key'));
      }
    }
  }
  for (const { name: givenName, value, issueAt, ofEnvironment } of given) {
    const name = ofEnvironment === true ? (byEnvironment.get(environmentName(givenName)) ?? givenName) : givenName;
    const variable = variables.get(name);
    if (variable !== undefined) {
      if (value.includes('\0')) issues.push(issueAt(`the value of variable "${name}" has a NUL character`));
      variables.set(name, { ...variable, value, given: true });
    } else if (ofEnvironment !== true) {
      const guess = didYouMean(name, variables.keys());
      issues.push({
        ...issueAt(`the definition declares no variable "${name}"${guess}`),
        hint: declaredNames(variables),
      });
    }
  }
  for (const [name, { value, secret }] of variables) {
    const path = ['variables', name];
    if (value === undefined && required.has(name))
      issues.push({ ...source.issueAt(path, needsValue(name), 'key'), hint: howToGive(name) });
    if (secret && value !== undefined && value !== '' && value.length < SHORTEST_SECRET) {
      issues.push(
        source.issueAt(
          path,
          `the secret "${name}" is shorter than ${SHORTEST_SECRET} characters and could not be hidden`,
          'key',
        ),
      );
    }
  }
  return variables;
}

/** Puts values into one piece of text of the document. Undefined when a value is missing, which has been reported then. */
export function substituteAt(
  text: string,
  path: DocumentPath,
  variables: ReadonlyMap<string, Variable>,
  source: SourceDocument,
  issues: Issue[],
): string | undefined {
  const result = substitute(text, (name) => variables.get(name)?.value ?? (name === MIRROR_VARIABLE ? '' : undefined));
  for (const problem of result.problems) {
    if ('malformed' in problem) {
      const message = `${JSON.stringify(problem.malformed)} is not a variable`;
      issues.push({ ...source.issueAt(path, message), hint: 'write ${name}, or $${ where you mean ${ itself' });
    } else if (variables.has(problem.name)) {
      issues.push({ ...source.issueAt(path, needsValue(problem.name)), hint: howToGive(problem.name) });
    } else {
      const message = `undeclared variable "${problem.name}"${didYouMean(problem.name, variables.keys())}`;
      issues.push({
        ...source.issueAt(path, message),
        hint: `declare it under "variables", or write $\${ where you mean \${ itself`,
      });
    }
  }
  return result.problems.length === 0 ? result.text : undefined;
}

function needsValue(name: string): string {
  return `variable "${name}" has no value`;
}

function howToGive(name: string): string {
  return `give --var ${name}=…, a --var-file, or ${ENVIRONMENT_PREFIX}${environmentName(name)} in the environment`;
}

function declaredNames(variables: ReadonlyMap<string, Variable>): string {
  return `variables of this definition: ${[...variables.keys()].sort().join(', ')}`;
}
