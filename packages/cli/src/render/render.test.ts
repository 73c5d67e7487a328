import { Writable } from 'node:stream';
import { stripVTControlCharacters } from 'node:util';
import type { Event } from '@polyvisor/core';
import { describe, expect, it } from 'vitest';
import type { Output } from '../io.js';
import { createRenderer } from './create.js';
import type { RenderOptions } from './renderer.js';

const MIB = 1024 * 1024;

function capture(isTTY = false): Output & { text(): string; lines(): string[] } {
  let text = '';
  const stream = new Writable({
    write: (chunk, _, done) => {
      text += String(chunk);
      done();
    },
  });
  return Object.assign(stream, {
    isTTY,
    columns: 100,
    rows: 24,
    text: () => text,
    lines: () =>
      stripVTControlCharacters(text)
        .split('\n')
        .map((line) => line.trim()),
  });
}

function setUp(options: Partial<RenderOptions> & { json?: boolean; tty?: boolean; env?: NodeJS.ProcessEnv } = {}) {
  const stdout = capture(options.tty);
  const stderr = capture(options.tty);
  const clock = { now: 1_000_000 };
  const renderer = createRenderer(
    {
      stdout,
      stderr,
      verbosity: 'normal',
      color: false,
      redact: (text) => text.replaceAll('hunter2', '***'),
      now: () => clock.now,
      ...options,
    },
    options.json === true,
    options.env ?? {},
  );
  return { renderer, stdout, stderr, clock };
}

const progress = (done: number, stage = 'export'): Event => ({
  type: 'progress',
  stage,
  done,
  total: 100 * MIB,
  unit: 'bytes',
});
const start = (stage = 'export'): Event => ({ type: 'stage-start', stage, title: `writing ${stage}` });
const done = (stage = 'export'): Event => ({
  type: 'stage-done',
  stage,
  title: `writing ${stage}`,
  seconds: 1.25,
  note: 'all well',
});
const failed: Event = { type: 'stage-failed', stage: 'export', title: 'writing export', seconds: 2 };
const log = (level: 'debug' | 'info' | 'warn'): Event => ({
  type: 'log',
  level,
  scope: 'rootfs',
  message: `${level} with hunter2`,
});

describe('plain', () => {
  it('writes one line an event and progress every ten seconds, to stderr', () => {
    const { renderer, stdout, stderr, clock } = setUp();
    renderer.event(start());
    for (let second = 1; second <= 25; second++) {
      clock.now += 1000;
      renderer.event(progress(second * 2 * MIB));
    }
    renderer.event(done());
    expect(stderr.lines()).toEqual([
      'writing export …',
      'writing export: 20 %, 20.0 MiB of 100.0 MiB, 2.00 MiB/s, 40 s left',
      'writing export: 40 %, 40.0 MiB of 100.0 MiB, 2.00 MiB/s, 30 s left',
      'done: writing export (1.3 s): all well',
      '',
    ]);
    expect(stdout.text()).toBe('');
  });

  it.each([
    ['quiet', ['warning: rootfs: warn with ***', '']],
    [
      'normal',
      ['rootfs: info with ***', 'warning: rootfs: warn with ***', 'writing export …', 'failed: writing export', ''],
    ],
    [
      'verbose',
      [
        'rootfs: debug with ***',
        'rootfs: info with ***',
        'warning: rootfs: warn with ***',
        'writing export …',
        'failed: writing export',
        '',
      ],
    ],
  ] as const)('%s', (verbosity, lines) => {
    const { renderer, stderr } = setUp({ verbosity });
    for (const event of [log('debug'), log('info'), log('warn'), start(), failed]) renderer.event(event);
    expect(stderr.lines()).toEqual(lines);
  });

  it('gives the answer on stdout and an error, its issues first, on stderr', () => {
    const { renderer, stdout, stderr } = setUp({ verbosity: 'quiet' });
    renderer.result({ value: 1 }, 'the answer, hunter2');
    renderer.error({
      kind: 'definition',
      code: 'x',
      message: 'two problems',
      hint: 'mend them',
      issues: [
        { file: 'a.yaml', line: 3, column: 7, message: 'bad', hint: 'good' },
        { file: 'b.yaml', message: 'worse' },
      ],
      exitCode: 2,
    });
    expect(stdout.text()).toBe('the answer, ***\n');
    expect(stderr.lines()).toEqual([
      'a.yaml:3:7: bad (good)',
      'b.yaml: worse',
      'error: two problems',
      'hint: mend them',
      '',
    ]);
  });

  it('says what is waited for every fifteen seconds, in short', () => {
    const { renderer, stderr, clock } = setUp();
    renderer.event(start());
    for (let second = 1; second <= 40; second++) {
      clock.now += 1000;
      renderer.event({
        type: 'waiting',
        stage: 'export',
        message: `line ${second}${second > 20 ? 'x'.repeat(99) : ''}`,
      });
    }
    expect(stderr.lines().slice(1)).toEqual([
      'writing export: 15 s, at: line 15',
      `writing export: 30 s, at: line 30${'x'.repeat(52)}…`,
      '',
    ]);
  });

  it('keeps control characters of guests and images off the terminal', () => {
    const { renderer, stdout, stderr } = setUp({ verbosity: 'verbose' });
    const evil = 'a\u001b[2Jb\u001b]0;title\u0007c\rd\u009be\tf';
    renderer.event({ type: 'log', level: 'info', scope: 'guest', message: evil });
    renderer.result({}, `${evil}\nnext`);
    expect(stderr.text()).toMatch(/^guest: ab.*cde?\tf\n$/);
    // eslint-disable-next-line no-control-regex -- they are what is looked for
    for (const { text } of [stderr, stdout]) expect(text()).not.toMatch(/[\u0000-\u0008\u000b-\u001f\u007f-\u009f]/);
    expect(stdout.text()).toContain('\nnext\n');
  });

  it('colours only when told to', () => {
    const plain = setUp();
    const coloured = setUp({ color: true });
    for (const { renderer } of [plain, coloured]) renderer.event(log('warn'));
    expect(plain.stderr.text()).not.toContain('\u001b');
    expect(coloured.stderr.text()).toContain('\u001b[33m');
  });
});

describe('json', () => {
  it('writes one object a line to stdout, with the time, secrets hidden', () => {
    const { renderer, stdout, stderr } = setUp({ json: true });
    renderer.event(start());
    renderer.event(log('debug'));
    renderer.event(log('info'));
    renderer.event(progress(5));
    renderer.result({ command: 'convert', deep: [{ secret: 'hunter2' }] }, 'not for machines');
    renderer.error({ kind: 'guest', code: 'boot-timeout', message: 'hunter2 late', exitCode: 4 });
    const time = '1970-01-01T00:16:40.000Z';
    expect(
      stdout
        .text()
        .trimEnd()
        .split('\n')
        .map((line) => JSON.parse(line) as unknown),
    ).toEqual([
      { time, ...start() },
      { time, type: 'log', level: 'info', scope: 'rootfs', message: 'info with ***' },
      { time, ...progress(5) },
      { time, type: 'result', command: 'convert', deep: [{ secret: '***' }] },
      { time, type: 'error', kind: 'guest', code: 'boot-timeout', message: '*** late', exitCode: 4 },
    ]);
    expect(stderr.text()).toBe('');
  });
});

describe('tty', () => {
  it('shows stages side by side with bar, rate and time left, and leaves one line of each', () => {
    const { renderer, stdout, stderr, clock } = setUp({ tty: true });
    renderer.event(start('export'));
    renderer.event(start('check'));
    renderer.event(progress(0));
    clock.now += 1000;
    renderer.event(progress(25 * MIB));
    renderer.event({ type: 'waiting', stage: 'check', message: 'the login prompt, hunter2' });
    renderer.event(start('third')); // draws
    const picture = stderr.lines();
    expect(
      picture.some((line) =>
        /writing export █{5}░{15} 25 %, 25.0 MiB of 100.0 MiB, 25.0 MiB\/s, 3.0 s left$/.test(line),
      ),
    ).toBe(true);
    expect(picture.some((line) => line.endsWith('writing check 1.0 s, the login prompt, ***'))).toBe(true);
    renderer.event(done('check'));
    renderer.event(failed);
    renderer.event(log('warn'));
    renderer.event(done('third'));
    renderer.result({}, 'answer');
    const all = stderr.lines();
    expect(all).toContain('✓ writing check (1.3 s): all well');
    expect(all).toContain('✗ writing export');
    expect(all).toContain('warning: rootfs: warn with ***');
    expect(stdout.text()).toBe('answer\n');
    expect(stderr.text()).not.toContain('hunter2');
  });

  it('shows rate and time left in 80 columns too', () => {
    const { renderer, stderr, clock } = setUp({ tty: true });
    Object.assign(stderr, { columns: 80 });
    const stage = 'raw, qcow2, xen-vhd, ova';
    renderer.event(start(stage));
    renderer.event(progress(0, stage));
    clock.now += 1000;
    renderer.event(progress(25 * MIB, stage));
    renderer.event(start('another')); // draws
    expect(stderr.lines().some((line) => line.endsWith('█░░░░░░░ 25 %, 25.0 MiB/s, 3.0 s left'))).toBe(true);
  });

  it('is not used in CI, nor on a terminal that cannot move its cursor', () => {
    for (const env of [{ CI: 'true' }, { TERM: 'dumb' }]) {
      const { renderer, stderr } = setUp({ tty: true, env });
      renderer.event(start());
      expect(stderr.text()).toBe('writing export …\n');
    }
  });
});
