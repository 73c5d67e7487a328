import { describe, expect, it } from 'vitest';
import { probeArguments, processor } from './arguments.js';

const after = (args: readonly string[], option: string) => args[args.indexOf(option) + 1];

describe('probeArguments', () => {
  it('tries the accelerator alone, with the processor that is used later', () => {
    const args = probeArguments('kvm', undefined, '/x');
    expect(after(args, '-accel')).toBe('kvm');
    expect(after(args, '-cpu')).toBe(processor('kvm'));
  });
});
