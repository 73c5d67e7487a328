import { describe, expect, it } from 'vitest';
import { CleanupStack } from './cleanup.js';

describe('CleanupStack', () => {
  it('undoes in reverse order, once, and goes on after a failure', async () => {
    const done: number[] = [];
    const stack = new CleanupStack();
    stack.defer(() => Promise.resolve(done.push(1)));
    stack.defer(() => Promise.reject(new Error('second')));
    stack.defer(() => Promise.resolve(done.push(3)));
    await expect(stack[Symbol.asyncDispose]()).rejects.toThrow('second');
    await stack[Symbol.asyncDispose]();
    expect(done).toEqual([3, 1]);
  });
});
