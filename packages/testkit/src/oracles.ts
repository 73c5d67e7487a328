import { execFile } from 'node:child_process';
import { accessSync, constants } from 'node:fs';
import { delimiter, isAbsolute, join, resolve } from 'node:path';
import { promisify } from 'node:util';

const execute = promisify(execFile);

/** What an oracle gets to judge. */
export interface Verdict {
  /** The image that the converter wrote. */
  readonly image: string;
  /** The same disk as a raw file. */
  readonly raw: string;
  /** Guest-visible size that the writer announced, in bytes. */
  readonly size: number;
}

/** A program that nobody here wrote and that knows the format. */
export interface Oracle {
  readonly name: string;
  /** Looked for on PATH, or where it says when it is a path. */
  readonly command: string;
  /** Debian package that brings it. */
  readonly debianPackage: string;
  /** Rejects when the program disagrees. */
  judge(verdict: Verdict): Promise<void>;
  /** Ends what the judge keeps running between images. Called when no more follow for now; it may be asked again later. */
  end?(): Promise<void>;
}

/**
 * Whether a program is on PATH. When it is not and CI is set, this throws: there a judge that is absent must not pass
 * for one that agreed.
 */
export function available(command: string, debianPackage: string): boolean {
  // `join` would put an absolute path below each folder.
  for (const directory of isAbsolute(command) ? [''] : (process.env['PATH'] ?? '').split(delimiter)) {
    try {
      accessSync(join(directory, command), constants.X_OK);
      return true;
    } catch {
      // not here
    }
  }
  if (process.env['CI'])
    throw new Error(`${command} is missing and CI is set; install the Debian package ${debianPackage}`);
  return false;
}

/** Runs a program to its end with an argument array; rejects with its output when it fails. `environment` is added to ours. */
export async function judgeWith(
  command: string,
  args: readonly string[],
  environment: Readonly<Record<string, string>> = {},
): Promise<string> {
  try {
    const { stdout } = await execute(command, [...args], {
      maxBuffer: 64 * 1024 * 1024,
      env: { ...process.env, LC_ALL: 'C', ...environment },
    });
    return stdout;
  } catch (error) {
    const { stdout, stderr, code } = error as { stdout?: string; stderr?: string; code?: number };
    throw new Error(`${command} ${args.join(' ')} ended with ${code}: ${stdout ?? ''}${stderr ?? ''}`, {
      cause: error,
    });
  }
}

/** How qemu-img is to open the image: a driver's name, or a block node for images inside others. */
export type QemuFormat = string | ((image: string) => Promise<Readonly<Record<string, unknown>>>);

/** `qemu-img compare` with the raw disk: every byte that its own reader sees is the same. */
export function qemuImgCompare(format: QemuFormat): Oracle {
  return {
    name: 'qemu-img compare',
    command: 'qemu-img',
    debianPackage: 'qemu-utils',
    judge: async ({ image, raw }) => {
      await judgeWith('qemu-img', [
        'compare',
        '--image-opts',
        `driver=raw,file.driver=file,file.filename=${quoteOption(resolve(raw))}`,
        await imageOptions(format, image),
      ]);
    },
  };
}

/** `qemu-img info`: the virtual size is what the writer announced. */
export function qemuImgSize(format: QemuFormat): Oracle {
  return {
    name: 'qemu-img info',
    command: 'qemu-img',
    debianPackage: 'qemu-utils',
    judge: async ({ image, size }) => {
      const info = JSON.parse(
        await judgeWith('qemu-img', ['info', '--output=json', '--image-opts', await imageOptions(format, image)]),
      ) as { 'virtual-size': number };
      if (info['virtual-size'] !== size)
        throw new Error(`qemu-img sees ${info['virtual-size']} bytes, the writer announced ${size}`);
    },
  };
}

/** `qemu-img check`: no errors and no leaks. Only some of its drivers can. */
export function qemuImgCheck(format: QemuFormat): Oracle {
  return {
    name: 'qemu-img check',
    command: 'qemu-img',
    debianPackage: 'qemu-utils',
    judge: async ({ image }) => {
      await judgeWith('qemu-img', ['check', '--image-opts', await imageOptions(format, image)]);
    },
  };
}

/** A program that only has to accept the file, such as libyal's `vhdiinfo`; `expect` must match what it prints. */
export function accepts(
  command: string,
  debianPackage: string,
  args: (verdict: Verdict) => readonly string[],
  expect?: (verdict: Verdict) => RegExp,
): Oracle {
  return {
    name: command,
    command,
    debianPackage,
    judge: async (verdict) => {
      const output = await judgeWith(command, args(verdict));
      const pattern = expect?.(verdict);
      if (pattern !== undefined && !pattern.test(output))
        throw new Error(`${command} printed nothing that matches ${pattern}:\n${output}`);
    },
  };
}

async function imageOptions(format: QemuFormat, image: string): Promise<string> {
  const node =
    typeof format === 'string'
      ? { driver: format, file: { driver: 'file', filename: resolve(image) } }
      : await format(resolve(image));
  return flatten(node).join(',');
}

/** A block node in the `key.key=value` notation of `--image-opts`; a comma in a value is doubled. */
function flatten(node: Readonly<Record<string, unknown>>, prefix = ''): string[] {
  return Object.entries(node).flatMap(([key, value]) =>
    typeof value === 'object' && value !== null
      ? flatten(value as Record<string, unknown>, `${prefix}${key}.`)
      : [`${prefix}${key}=${quoteOption(String(value))}`],
  );
}

function quoteOption(value: string): string {
  return value.replaceAll(',', ',,');
}
