import { describe, expect, it } from 'vitest';
import { planBoots } from './boot-plan.js';

const artifact = (file: string, driver: string) => ({ file, node: { driver } });
const all = [
  artifact('raw', 'raw'),
  artifact('qcow2', 'qcow2'),
  artifact('xen', 'vpc'),
  artifact('hyperv', 'vpc'),
  artifact('ova', 'vmdk'),
];
const plan = (...args: Parameters<typeof planBoots>) =>
  planBoots(...args).map(({ artifact: { file }, firmware }) => `${file} ${firmware}`);

describe('planBoots', () => {
  it('takes one artefact for each driver, without raw, and deals out the firmware', () => {
    expect(plan(all, ['bios', 'uefi'], 'auto')).toEqual(['qcow2 bios', 'xen uefi', 'ova bios']);
  });

  it('boots a single artefact under every firmware', () => {
    expect(plan([artifact('raw', 'raw')], ['bios', 'uefi'], 'auto')).toEqual(['raw bios', 'raw uefi']);
  });

  it('boots everything everywhere, or nothing, when asked to', () => {
    expect(plan(all, ['bios', 'uefi'], 'all')).toHaveLength(10);
    expect(plan(all, ['bios', 'uefi'], 'none')).toEqual([]);
    expect(plan([], ['bios'], 'auto')).toEqual([]);
  });
});
