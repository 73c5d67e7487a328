/** Who writes which creator application, for people. Four bytes each; those shorter here are padded with NUL. */
const CREATORS: Readonly<Record<string, string>> = {
  tap: 'Xen blktap',
  'win ': 'Windows, Hyper-V',
  'vpc ': 'Virtual PC',
  'vs  ': 'Virtual Server',
  vbox: 'VirtualBox',
  qemu: 'QEMU',
  qem2: 'QEMU, exact size',
  wa: 'Azure',
  'd2v ': 'Disk2vhd',
  d2v: 'Disk2vhd',
  caml: 'xapi',
  CTXS: 'Citrix',
  'xo  ': 'Xen Orchestra',
};

/** `VirtualBox (vbox)`; only the four characters of a creator that nobody knows. */
export function describeCreator(creatorApplication: string): string {
  const mark = creatorApplication.replace(/\0+$/, '');
  const name = CREATORS[mark];
  const shown = mark.replaceAll(/[^\x20-\x7e]/g, '?');
  return name === undefined ? shown : `${name} (${shown.trimEnd()})`;
}

/** Whether QEMU takes the size of such a disk from its cylinders, heads and sectors, in every version. */
export function sizedByGeometry(creatorApplication: string): boolean {
  return creatorApplication === 'vpc ' || creatorApplication === 'qemu';
}

/** The same for QEMU before 10.0, which believed the size field only of those whom it knew to write it well. */
export function sizedByGeometryOnce(creatorApplication: string): boolean {
  return !['win ', 'qem2', 'd2v ', 'tap\0', 'CTXS'].includes(creatorApplication);
}
