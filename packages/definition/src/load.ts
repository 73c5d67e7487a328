import { open, readFile, stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import {
  type Appliance,
  DefinitionError,
  type FileToCopy,
  type Firmware,
  type Issue,
  type Partition,
  type Script,
  type Source,
  type User,
  didYouMean,
} from '@polyvisor/core';
import { z } from 'zod';
import { checkPart } from './check.js';
import { credentialsIn } from './credentials.js';
import { type DocumentPath, MAX_DOCUMENT_BYTES, parseSource, type SourceDocument } from './document.js';
import { findDefinition } from './find.js';
import { guestVersion } from './guest.js';
import { resolveInput } from './paths.js';
import { createRedactor, SHORTEST_SECRET } from './redact.js';
import { checkPartitions, checkTimezone, readPublicKeys, type Report, reportTwice } from './rules.js';
import { definitionDocument, fileSchema, isTextPath, scriptSchema, targetSchema, userSchema } from './schema.js';
import type { MachineArchive, SourceContext } from './source-context.js';
import { SOURCE_KINDS, sourceSchema } from './source-schema.js';
import { kindsOf, type ReadSource, readSource } from './sources.js';
import { environmentName } from './substitute.js';
import { readVariableFile } from './variable-file.js';
import {
  fromCommandLine,
  fromEnvironment,
  MIRROR_VARIABLE,
  resolveVariables,
  substituteAt,
  type Variable,
} from './variables.js';

export interface LoadOptions {
  /** Folders that hold definitions by name; the first that has the name wins. */
  readonly searchFolders?: readonly string[];
  /** Of the command line (`--var`); win over all others. */
  readonly variables?: Readonly<Record<string, string>>;
  /** Paths of files with variables (`--var-file`); of two that set one variable the later wins. */
  readonly variableFiles?: readonly string[];
  /** Where `POLYVISOR_VAR_<name>` is looked up: the environment of the command. */
  readonly environment?: Readonly<Record<string, string | undefined>>;
  /** Folder from which paths count that a person typed into variables for images; default: that of the process. */
  readonly currentFolder?: string;
  /** Where this machine's apt gets packages; asked when the answers to an installer need it and no mirror was given. */
  readonly machineArchive?: () => Promise<MachineArchive>;
  /** Names of the sealing steps that exist; when given, `seal.keep` may name no other. */
  readonly sealOperations?: readonly string[];
  /** What only the host can judge: whether plugins exist and take these options. Called also when there are other problems. */
  readonly check?: (requests: Requests) => readonly Issue[];
}

/** What a definition asks of plugins. */
export type Requests = Pick<Definition, 'targets' | 'provisioner' | 'issueAt'> & {
  /** Those that could be understood. */
  readonly sources: readonly ReadSource[];
};

/** A plugin's part that the definition asks for. Which exist, and what options they take, the host knows. */
export interface Requested {
  readonly id: string;
  readonly options: Readonly<Record<string, unknown>>;
  /** Where it stands; an option is at `[...path, name]`. For `issueAt`. */
  readonly path: DocumentPath;
}

export interface BootCheck {
  /** Text that the serial console must show. */
  readonly expect: string;
  /** In milliseconds, on a machine with hardware acceleration. */
  readonly timeout: number;
}

/** A file or directory that the definition refers to. */
export interface InputReference {
  /** Absolute, symbolic links followed. */
  readonly path: string;
  /** As the definition has it. */
  readonly name: string;
}

/** A definition that has been read, checked and resolved. */
export interface Definition {
  /** Absolute path of the document. */
  readonly path: string;
  /** The same for messages. */
  readonly file: string;
  /** Absolute path of the folder that the definition's own paths are relative to. */
  readonly folder: string;
  /** Its `source` is the first of `sources`, until a build has chosen. */
  readonly appliance: Appliance;
  /** At least one, in the order of the document; a provisioner takes the first that it can serve. */
  readonly sources: readonly Source[];
  /** Formats to export; `id` is the format's. Empty: the command chooses. */
  readonly targets: readonly Requested[];
  readonly provisioner: Requested | undefined;
  /** Sealing steps to leave out. */
  readonly sealKeep: readonly string[];
  /** Undefined when the definition turns the check off. */
  readonly bootCheck: BootCheck | undefined;
  /** Variables that have a value and are not secret, for the manifest. */
  readonly variables: Readonly<Record<string, string>>;
  /** The document and all that it refers to, but for the files of sources. */
  readonly references: readonly InputReference[];
  /** An issue at a place in the document, for what others find wrong in it. */
  issueAt(path: DocumentPath, message: string, hint?: string): Issue;
}

const DEFAULT_BOOT_CHECK: BootCheck = { expect: 'login:', timeout: 180_000 };
/** As the schema has it. */
const MAX_SOURCES = 16;
/** Nobody reads more at once. */
const MAX_ISSUES = 100;
const DEFAULT_SCRIPT_TIMEOUT = 600_000;
/** Reads a definition, given by path, folder or name. Throws one `DefinitionError` that lists every problem there is. */
export async function loadDefinition(argument: string, options: LoadOptions = {}): Promise<Definition> {
  const { path, file } = await findDefinition(argument, options.searchFolders);
  const issues: Issue[] = [];
  const text = await readText(path, issues, file);
  const source = parseSource(file, text, isTextPath);

  const declared = asRecord(source.read([]))?.['variables'];
  const given = [...fromEnvironment(options.environment ?? {})];
  for (const variableFile of options.variableFiles ?? []) given.push(...(await readVariableFile(variableFile, issues)));
  given.push(...fromCommandLine(options.variables ?? {}));
  // In a document that cannot be understood, what seems to be undeclared may only be unreadable.
  const variables = resolveVariables(declared, given, source, source.brokenFrom === undefined ? issues : []);

  const loader = new Loader(source, dirname(path), variables, options);
  const loaded = text === '' ? undefined : await loader.load();
  const end = source.brokenFrom ?? Number.POSITIVE_INFINITY;
  issues.push(...source.issues, ...loader.issues.filter((issue) => (issue.line ?? 0) < end));
  if (issues.length > 0 || loaded === undefined) throw invalid(file, issues, loader.secrets());
  return { ...loaded, path, file, references: [{ path, name: 'definition.yaml' }, ...loader.references] };
}

/** One `DefinitionError` from many issues: in the order of the file, none twice, secrets hidden. */
export function invalid(file: string, issues: readonly Issue[], secrets: readonly string[] = []): DefinitionError {
  const hide = createRedactor(secrets);
  const unique = new Map<string, Issue>();
  for (const issue of issues) {
    const { hint, ...rest } = issue;
    const clean: Issue = { ...rest, message: hide(issue.message), ...(hint === undefined ? {} : { hint: hide(hint) }) };
    unique.set(JSON.stringify([clean.file, clean.line, clean.column, clean.message]), clean);
  }
  const sorted = [...unique.values()].sort(
    (left, right) =>
      Number(left.file === file) - Number(right.file === file) ||
      (left.line ?? 0) - (right.line ?? 0) ||
      (left.column ?? 0) - (right.column ?? 0),
  );
  const shown = sorted.slice(0, MAX_ISSUES);
  const rest = sorted.length - shown.length;
  if (rest > 0) shown.push({ file, message: `… and ${rest} more` });
  return new DefinitionError(
    'definition-invalid',
    `${file}: ${sorted.length} ${sorted.length === 1 ? 'problem' : 'problems'}`,
    { issues: shown },
  );
}

async function readText(path: string, issues: Issue[], file: string): Promise<string> {
  const { size } = await stat(path);
  if (size > MAX_DOCUMENT_BYTES) {
    issues.push({ file, message: `the file has ${size} bytes; at most ${MAX_DOCUMENT_BYTES} are read` });
    return '';
  }
  const bytes = await readFile(path);
  try {
    const text = new TextDecoder('utf-8', { fatal: true }).decode(bytes);
    if (text.trim() === '') issues.push({ file, line: 1, column: 1, message: 'the file is empty' });
    return text.trim() === '' ? '' : text;
  } catch {
    issues.push({ file, message: 'the file is not text in UTF-8' });
    return '';
  }
}

type Loaded = Omit<Definition, 'path' | 'file' | 'references'>;
type Document = z.output<typeof definitionDocument>;

/** What is gathered while one document is checked: each step adds issues and goes on with what is left. */
class Loader {
  readonly issues: Issue[] = [];
  readonly references: InputReference[] = [];
  readonly #source: SourceDocument;
  readonly #folder: string;
  readonly #variables: ReadonlyMap<string, Variable>;
  readonly #options: LoadOptions;
  readonly #passwords = new Set<string>();
  /** Paths that begin with a variable of the user's, and its value: files below it may be read. */
  readonly #given = new Map<string, string>();
  /** Lines and columns where a variable had no value; what else is wrong there follows from that. */
  readonly #holes = new Set<string>();

  constructor(source: SourceDocument, folder: string, variables: ReadonlyMap<string, Variable>, options: LoadOptions) {
    this.#source = source;
    this.#folder = folder;
    this.#variables = variables;
    this.#options = options;
  }

  async load(): Promise<Loaded | undefined> {
    const read = this.#source.read(this.issues, (text, path, plain) => this.#substitute(text, path, plain));
    const document = asRecord(read);
    if (document === undefined) {
      this.#report([], 'expected keys with values, such as name: my-appliance');
      return undefined;
    }
    this.#notePasswords(document);
    const checked = this.#checkDocument(document);
    const files = await this.#files(document['files']);
    const scripts = await this.#scripts(document['scripts']);
    const users = await this.#users(document['users']);
    const targets = this.#items('targets', document['targets'], targetSchema).map(({ value, path }) =>
      requested(value, 'format', path),
    );
    const disk = this.#disk(document['disk'], checked.disk);
    const sources = await this.#sources(document, checked.architecture ?? 'x86_64');
    const provisioner =
      checked.provisioner === undefined ? undefined : requested(checked.provisioner, 'id', ['provisioner']);
    this.#checkRules(checked);
    const issueAt: Definition['issueAt'] = (path, message, hint) => this.#issue(path, message, hint);
    this.#add(this.#options.check?.({ targets, provisioner, sources, issueAt }) ?? []);
    const source = sources[0]?.source;
    if (this.issues.length > 0 || source === undefined || disk === undefined) return undefined;

    const whole = checked as Document;
    const architecture = whole.architecture;
    return {
      folder: this.#folder,
      appliance: {
        name: whole.name,
        version: whole.version,
        description: whole.description.trim(),
        architecture,
        firmware: firmwareOf(whole),
        cpus: whole.cpus,
        memory: whole.memory,
        ...guestOf(whole.guest, sources),
        hostname: whole.hostname ?? whole.name.replaceAll('.', '-'),
        disk,
        source,
        packages: [...new Set(whole.packages)],
        kernelArguments: whole['kernel-arguments'],
        locale: whole.locale,
        timezone: whole.timezone,
        files,
        scripts,
        users,
        secrets: this.secrets(),
      },
      sources: sources.map((each) => each.source),
      targets,
      provisioner,
      sealKeep: whole.seal.keep,
      bootCheck: bootCheckOf(whole['boot-check']),
      variables: Object.fromEntries(
        [...this.#variables].flatMap(([name, { value, secret }]) =>
          secret || value === undefined ? [] : [[name, value]],
        ),
      ),
      issueAt,
    };
  }

  /** Values of secret variables and of passwords: those that no log may show. */
  secrets(): string[] {
    const values = [...this.#variables.values()].flatMap(({ value, secret }) =>
      secret && value !== undefined ? [value] : [],
    );
    const mirror = this.#variables.get(MIRROR_VARIABLE)?.value ?? '';
    return [...new Set([...values, ...this.#passwords, ...credentialsIn(mirror)])].filter(
      (value) => value.length >= SHORTEST_SECRET,
    );
  }

  #substitute(text: string, path: DocumentPath, plain: boolean): unknown {
    // Variables are declared before they can be used; their own values are taken as they are.
    if (path[0] === 'variables') return text;
    if (!text.includes('${')) return text;
    const result = substituteAt(text, path, this.#variables, this.#source, this.issues);
    if (result === undefined) {
      this.#holes.add(positionOf(this.#source.issueAt(path, '')));
      return text;
    }
    const first = this.#variables.get(/^\$\{([\w-]+)\}/.exec(text)?.[1] ?? '');
    if (first?.given === true && first.value !== undefined && first.value !== '')
      this.#given.set(JSON.stringify(path), first.value);
    // Options of plugins may be numbers or booleans, and only the plugin knows which.
    const ofPlugin = path[0] === 'targets' || path[0] === 'provisioner';
    return ofPlugin && plain ? typed(result) : result;
  }

  /** All keys of the document but the lists that are checked entry by entry. */
  #checkDocument(document: Readonly<Record<string, unknown>>): Partial<Document> {
    const shape = definitionDocument.shape;
    const checked: Record<string, unknown> = {};
    for (const key of Object.keys(document)) {
      if (Object.hasOwn(shape, key)) continue;
      this.issues.push(
        this.#source.issueAt([key], `unknown key "${key.slice(0, 60)}"${didYouMean(key, Object.keys(shape))}`, 'key'),
      );
    }
    for (const [key, schema] of Object.entries(shape)) {
      const value = document[key];
      if (BY_ENTRY.has(key) && Array.isArray(value)) continue;
      if (key === 'source' && Object.hasOwn(document, key)) continue;
      if (value === undefined && !Object.hasOwn(document, key) && !schema.safeParse(undefined).success) {
        if (this.#source.brokenFrom === undefined) this.#report([], `missing key "${key}"`);
        continue;
      }
      // `variables` were checked when they were resolved; only their names are left to say something about.
      if (key === 'variables') this.#checkVariableNames(value);
      else checked[key] = this.#check(schema, value, [key]);
    }
    return checked as Partial<Document>;
  }

  #checkVariableNames(value: unknown): void {
    if (value !== undefined && asRecord(value) === undefined)
      this.#report(['variables'], 'variables: expected keys with values');
    for (const name of Object.keys(asRecord(value) ?? {})) {
      const result = definitionDocument.shape.variables.safeParse({ [name]: null });
      if (!result.success) {
        const message = `${JSON.stringify(name.slice(0, 60))} is not the name of a variable: letters, digits, "_" and "-"`;
        this.issues.push(this.#source.issueAt(['variables', name], message, 'key'));
      }
    }
  }

  #check<Schema extends z.ZodType>(schema: Schema, value: unknown, path: DocumentPath): z.output<Schema> | undefined {
    const found: Issue[] = [];
    const result = checkPart(schema, value, path, this.#source, found);
    this.#add(found);
    return result;
  }

  #items<Schema extends z.ZodType>(
    key: string,
    value: unknown,
    schema: Schema,
  ): { readonly value: z.output<Schema>; readonly path: DocumentPath }[] {
    return asList(value).flatMap((entry, index) => {
      const path = [key, index];
      const checked = this.#check(schema, entry, path);
      return checked === undefined ? [] : [{ value: checked, path }];
    });
  }

  async #files(value: unknown): Promise<FileToCopy[]> {
    const files: FileToCopy[] = [];
    for (const { value: entry, path } of this.#items('files', value, fileSchema)) {
      const from = await this.#input(entry.from, [...path, 'from']);
      const owner = entry.owner.includes(':') ? entry.owner : `${entry.owner}:${entry.owner}`;
      if (entry.to === '/' && from?.kind === 'file') this.#report([...path, 'to'], 'a file cannot be copied onto /');
      if (from !== undefined) {
        files.push({ from: from.path, to: entry.to, owner, ...(entry.mode === undefined ? {} : { mode: entry.mode }) });
      }
    }
    return files;
  }

  async #scripts(value: unknown): Promise<Script[]> {
    const shared = Object.fromEntries(
      [...this.#variables].flatMap(([name, variable]) =>
        variable.value === undefined ? [] : [[environmentName(name), variable.value]],
      ),
    );
    const scripts: Script[] = [];
    for (const { value: entry, path } of this.#items('scripts', value, scriptSchema)) {
      const script =
        typeof entry === 'string' ? { path: entry, environment: {}, timeout: DEFAULT_SCRIPT_TIMEOUT } : entry;
      const place = typeof entry === 'string' ? path : [...path, 'path'];
      const input = await this.#input(script.path, place, 'file');
      if (input === undefined) continue;
      const start = await firstBytes(input.path, 4);
      if (!start.startsWith('#!') && start !== '\x7fELF') {
        this.#report(
          place,
          `the first line of ${JSON.stringify(script.path)} names no interpreter`,
          'begin it with #!/bin/sh or #!/bin/bash',
        );
      }
      scripts.push({
        name: script.path,
        path: input.path,
        environment: { ...shared, ...script.environment },
        timeout: script.timeout,
      });
    }
    return scripts;
  }

  async #users(value: unknown): Promise<User[]> {
    const entries = this.#items('users', value, userSchema);
    reportTwice(
      entries.map((entry) => entry.value.name),
      (index, name) => {
        this.#report([...(entries[index]?.path ?? []), 'name'], `user "${name}" is given twice`);
      },
    );
    const users: User[] = [];
    for (const { value: entry, path } of entries) {
      const password = entry.password === '' ? undefined : entry.password;
      // `chpasswd` and `/etc/shadow` hold one line for each user.
      if (password !== undefined && (/[\r\n]/.test(password) || password.length < SHORTEST_SECRET)) {
        this.#report([...path, 'password'], `a password must be one line of at least ${SHORTEST_SECRET} characters`);
      }
      const sshKeys: string[] = [];
      for (const [index, key] of entry['ssh-keys'].entries()) {
        const place = [...path, 'ssh-keys', index];
        sshKeys.push(...(await this.#publicKeys(key, place)));
      }
      users.push({
        name: entry.name,
        groups: entry.groups,
        sshKeys,
        sudo: entry.sudo,
        shell: entry.shell,
        ...(password === undefined ? {} : { password }),
      });
    }
    return users;
  }

  async #publicKeys(key: string | { readonly file: string }, path: DocumentPath): Promise<readonly string[]> {
    if (typeof key === 'string') {
      const { keys, problem } = readPublicKeys(key);
      if (problem !== undefined) this.#report(path, problem, 'a key in a file is written as {file: keys/me.pub}');
      return keys;
    }
    const place = [...path, 'file'];
    const input = await this.#input(key.file, place, 'file');
    if (input === undefined) return [];
    if ((await stat(input.path)).size > MAX_DOCUMENT_BYTES) {
      this.#report(place, `${JSON.stringify(key.file)} is too large for a file of public keys`);
      return [];
    }
    const { keys, problem } = readPublicKeys(await readFile(input.path, 'utf8'));
    if (problem !== undefined) this.#report(place, `${JSON.stringify(key.file)}: ${problem}`);
    return keys;
  }

  /** Partitions are checked against the disk's size also where something else in `disk` is wrong. */
  #disk(raw: unknown, disk: Document['disk'] | undefined): Appliance['disk'] | undefined {
    if (disk === undefined) return undefined;
    if (disk.partitions === undefined) {
      const whole: Partition = { label: 'root', mount: '/', filesystem: 'ext4' };
      return asRecord(raw)?.['partitions'] === undefined ? { size: disk.size, partitions: [whole] } : undefined;
    }
    const partitions = disk.partitions.map(({ label, mount, size, filesystem }): Partition => ({
      label,
      filesystem,
      ...(mount === undefined ? {} : { mount }),
      ...(size === undefined ? {} : { size }),
    }));
    checkPartitions(partitions, disk.size, this.#report);
    return { size: disk.size, partitions };
  }

  /** Each entry is checked on its own, whether it stands alone or in a list. */
  async #sources(
    document: Readonly<Record<string, unknown>>,
    architecture: Appliance['architecture'],
  ): Promise<readonly ReadSource[]> {
    if (!Object.hasOwn(document, 'source')) return [];
    const raw = document['source'];
    if (Array.isArray(raw) && (raw.length === 0 || raw.length > MAX_SOURCES)) {
      this.#report(['source'], `source: must have 1 to ${MAX_SOURCES} entries`);
      return [];
    }
    const entries = Array.isArray(raw)
      ? raw.map((entry: unknown, index) => ({ entry, path: ['source', index] }))
      : [{ entry: raw, path: ['source'] }];
    const context = this.#sourceContext(architecture, entries.length === 1);
    const sources: ReadSource[] = [];
    for (const { entry, path } of entries) {
      const checked = this.#check(sourceSchema, entry, path);
      const kinds = kindsOf(asRecord(entry) ?? {});
      if (kinds.length === 0 && asRecord(entry) !== undefined && this.#source.brokenFrom === undefined)
        this.#report(
          path,
          'source: name what the system is made from',
          `one of ${SOURCE_KINDS.join(', ')}, such as source: {packages: {suite: bookworm}}`,
        );
      if (kinds.length > 1)
        this.#report(
          path,
          `source: ${kinds.join(' and ')} are ${kinds.length} sources`,
          'write a list, one source an entry; each provisioner takes the first it can serve',
        );
      const read = checked === undefined || kinds.length !== 1 ? undefined : await readSource(checked, path, context);
      if (read !== undefined) sources.push(read);
    }
    return sources;
  }

  #sourceContext(architecture: Appliance['architecture'], alone: boolean): SourceContext {
    let archive: Promise<MachineArchive> | undefined;
    return {
      folder: this.#folder,
      currentFolder: this.#options.currentFolder ?? process.cwd(),
      architecture,
      variables: this.#variables,
      alone,
      report: this.#report,
      reportIn: (file, line, column, message, hint) => this.issues.push({ file, line, column, message, hint }),
      givenAt: (path) => this.#given.get(JSON.stringify(path)),
      file: async (text, path, others) => (await this.#input(text, path, 'file', others))?.path,
      hide: (secret) => this.#passwords.add(secret),
      machineArchive: () => (archive ??= this.#options.machineArchive?.() ?? Promise.resolve({})),
    };
  }

  #checkRules(checked: Partial<Document>): void {
    if (checked.timezone !== undefined) checkTimezone(checked.timezone, this.#report);
    if (checked.architecture === 'arm64' && firmwareOf(checked).includes('bios')) {
      this.#report(['firmware'], 'arm64 machines have no BIOS; write firmware: uefi');
    }
    const { name } = checked;
    if (
      name !== undefined &&
      checked.hostname === undefined &&
      !definitionDocument.shape.hostname.safeParse(name.replaceAll('.', '-')).success
    ) {
      this.#report(['name'], `${JSON.stringify(name)} cannot be the host name; set "hostname"`);
    }
    const known = this.#options.sealOperations;
    (known === undefined ? [] : (checked.seal?.keep ?? [])).forEach((operation, index) => {
      if (known?.includes(operation) === true) return;
      const guess = didYouMean(operation, known ?? []);
      this.#report(
        ['seal', 'keep', index],
        `unknown sealing step "${operation}"${guess}`,
        `known: ${known?.join(', ') ?? ''}`,
      );
    });
  }

  async #input(
    text: string,
    path: DocumentPath,
    kind?: 'file',
    others: readonly string[] = [],
  ): Promise<{ path: string; kind: string } | undefined> {
    const given = this.#given.get(JSON.stringify(path));
    const input = await resolveInput(text, this.#folder, given === undefined ? others : [...others, given]);
    if ('problem' in input) {
      this.#report(path, input.problem, input.hint);
      return undefined;
    }
    if (kind === 'file' && input.kind !== 'file') {
      this.#report(path, `${JSON.stringify(text)} is a directory; a file is needed`);
      return undefined;
    }
    if (path[0] !== 'source') this.references.push({ path: input.path, name: text });
    return input;
  }

  /** A password that only repeats a public name hides nothing, and would blot out that name in every log. */
  #notePasswords(document: Readonly<Record<string, unknown>>): void {
    const users = asList(document['users']).map(asRecord);
    const raw = document['source'];
    const sources = (Array.isArray(raw) ? raw : [raw]).map(asRecord);
    const packages = sources.map((source) => asRecord(source?.['packages']));
    const accesses = sources.flatMap((source) =>
      ['installer', 'disk'].map((kind) => asRecord(asRecord(source?.[kind])?.['ssh'])),
    );
    const names = [
      document['name'],
      document['hostname'],
      'debian',
      ...packages.flatMap((each) => [each?.['suite'], each?.['distribution']]),
      ...[...users.map((user) => user?.['name']), ...accesses.map((access) => access?.['user'])],
    ];
    const publicNames = new Set(names);
    for (const holder of [...users, ...accesses]) {
      const password = holder?.['password'];
      if (typeof password === 'string' && !publicNames.has(password)) this.#passwords.add(password);
    }
  }

  readonly #report: Report = (path, message, hint) => {
    this.#add([this.#issue(path, message, hint)]);
  };

  #add(issues: readonly Issue[]): void {
    this.issues.push(...issues.filter((issue) => !this.#holes.has(positionOf(issue))));
  }

  #issue(path: DocumentPath, message: string, hint?: string): Issue {
    return { ...this.#source.issueAt(path, message), ...(hint === undefined ? {} : { hint }) };
  }
}

/** Lists of mappings: a slip in one entry must not hide what is wrong in the others. */
const BY_ENTRY = new Set(['files', 'scripts', 'users', 'targets']);

function requested(
  value: string | Readonly<Record<string, unknown>>,
  key: 'id' | 'format',
  path: DocumentPath,
): Requested {
  if (typeof value === 'string') return { id: value, options: {}, path };
  const { [key]: id, ...options } = value;
  return { id: String(id), options, path };
}

function firmwareOf(document: Partial<Document>): readonly Firmware[] {
  const { firmware } = document;
  if (firmware === undefined) return document.architecture === 'arm64' ? ['uefi'] : ['bios', 'uefi'];
  return [...new Set(typeof firmware === 'string' ? [firmware] : firmware)];
}

/** What the system is: as the definition says, else as a source of packages tells. */
function guestOf(guest: Document['guest'], sources: readonly ReadSource[]): Pick<Appliance, 'guest' | 'guestVersion'> {
  const packages = sources.map(({ source }) => source).find((source) => source.kind === 'packages');
  const system = guest.system ?? packages?.distribution ?? 'linux';
  const known = packages?.distribution === system ? guestVersion(system, packages.suite) : '';
  return { guest: system, guestVersion: guest.version ?? known };
}

function bootCheckOf(value: Document['boot-check']): BootCheck | undefined {
  return value === true ? DEFAULT_BOOT_CHECK : value === false ? undefined : value;
}

/** What YAML would have made of the text, had it stood there itself. */
function typed(text: string): unknown {
  if (text === 'true' || text === 'false') return text === 'true';
  return /^(?:0|-?[1-9]\d{0,14})$/.test(text) ? Number(text) : text;
}

async function firstBytes(path: string, length: number): Promise<string> {
  const file = await open(path);
  try {
    const { buffer, bytesRead } = await file.read(Buffer.alloc(length), 0, length, 0);
    return buffer.toString('latin1', 0, bytesRead);
  } finally {
    await file.close();
  }
}

function positionOf(issue: Issue): string {
  return `${issue.line}:${issue.column}`;
}

function asRecord(value: unknown): Readonly<Record<string, unknown>> | undefined {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
    ? (value as Record<string, unknown>)
    : undefined;
}

function asList(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}
