/** A release of VirtualBox. */
export interface Version {
  readonly major: number;
  readonly minor: number;
  /** As the program says it. */
  readonly text: string;
}

/** Options that this plugin gives exist from here on. */
export const OLDEST = { major: 6, minor: 1 } as const;

/** From `VBoxManage --version`: the last line that is a version, for Debian's wrapper prints warnings before. */
export function parseVersion(output: string): Version | undefined {
  for (const line of output.split('\n').reverse()) {
    const match = /^(\d+)\.(\d+)\.\d+\S*$/.exec(line.trim());
    if (match !== null) return { major: Number(match[1]), minor: Number(match[2]), text: match[0] };
  }
  return undefined;
}

/** Whether a release has what came with another. */
export function isAtLeast(version: Version, major: number, minor: number): boolean {
  return version.major > major || (version.major === major && version.minor >= minor);
}
