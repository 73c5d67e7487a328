import { spawnSync } from 'node:child_process';
import { describe, expect, it } from 'vitest';
import { OWNER_TAG, ownerIsGone, ownerTag } from './owner.js';

describe('an owner tag', () => {
  it('names this process, which is not gone', () => {
    expect(ownerTag()).toMatch(new RegExp(`^${process.pid}-`));
    expect(OWNER_TAG.exec(`disk.img.${ownerTag()}.part`)?.[1]).toBe(ownerTag());
    expect(ownerIsGone(ownerTag())).toBe(false);
  });

  it('is that of a dead process once it ended', () => {
    const { pid } = spawnSync('true');
    expect(ownerIsGone(ownerTag().replace(/^\d+/, String(pid)))).toBe(true);
  });

  it('is that of a dead process when another one has its number now', () => {
    const [pid, start, host] = ownerTag().split('-');
    expect(ownerIsGone(`${pid}-${Number(start) - 1}-${host}`)).toBe(true);
  });

  it('of another machine says nothing', () => {
    const { pid } = spawnSync('true');
    expect(ownerIsGone(`${pid}-1-00000000`)).toBe(false);
  });
});
