import { type Emit, formatBytes } from '@polyvisor/core';

/** Between two events, in milliseconds: of numbers for a bar, and of a sentence with the rate. */
const NUMBERS = 250;
const SENTENCES = 5000;

/** Makes what is to be told after every piece: how much came, of how much, and how fast. */
export function downloadProgress(
  emit: Emit,
  stage: string,
  name: string,
): (done: number, total: number | undefined) => void {
  let numbers = -Infinity;
  let sentences = performance.now();
  let before: number | undefined;
  return (done, total) => {
    const now = performance.now();
    before ??= done;
    if (total !== undefined && (now - numbers >= NUMBERS || done === total)) {
      numbers = now;
      emit({ type: 'progress', stage, done, total, unit: 'bytes' });
    }
    if (now - sentences < SENTENCES) return;
    const rate = (Math.max(0, done - before) * 1000) / (now - sentences);
    const whole = total === undefined ? '' : ` of ${formatBytes(total)}`;
    emit({
      type: 'waiting',
      stage,
      message: `downloading ${name}: ${formatBytes(done)}${whole}, ${formatBytes(Math.round(rate))}/s`,
    });
    sentences = now;
    before = done;
  };
}
