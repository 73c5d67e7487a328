import { createLogUpdate } from 'log-update';
import pc from 'picocolors';
import { formatDuration } from '../duration.js';
import { createPlainRenderer } from './plain.js';
import { Rate } from './rate.js';
import type { Renderer, RenderOptions } from './renderer.js';
import { doneText, printable, type Progress, progressText } from './wording.js';

/** Time between two pictures, in milliseconds. */
const FRAME = 100;
const SPINNER = ['⠋', '⠙', '⠹', '⠸', '⠼', '⠴', '⠦', '⠧', '⠇', '⠏'];
const BAR = 20;

interface Stage {
  readonly title: string;
  readonly started: number;
  readonly rate: Rate;
  progress?: Progress;
  waiting?: string;
}

/** A terminal: the stages that are going on stay at the bottom, each with its bar; what is over scrolls up. */
export function createTtyRenderer(options: RenderOptions): Renderer {
  const { stderr, verbosity, color, redact, now } = options;
  const colors = pc.createColors(color);
  const screen = createLogUpdate(stderr as unknown as NodeJS.WriteStream);
  // Everything that stays is a line as elsewhere, written above the stages.
  const persistent = { write: (text: string) => void screen.persist(text.replace(/\n$/, '')) };
  const plain = createPlainRenderer({ ...options, stderr: persistent as unknown as typeof stderr });
  const stages = new Map<string, Stage>();
  let timer: NodeJS.Timeout | undefined;

  const draw = () => {
    const frame = SPINNER[Math.floor(now() / FRAME) % SPINNER.length] ?? '';
    const width = (stderr.columns ?? 80) - 1;
    const lines = [...stages.values()].map((stage) => {
      const lines = [`${stage.title} ${details(stage, now())}`, `${stage.title} ${details(stage, now(), true)}`];
      return clip(redact(`${frame} ${lines.find((line) => line.length + 2 <= width) ?? lines[1] ?? ''}`), width);
    });
    if (lines.length > 0) screen(lines.join('\n'));
    else screen.clear();
  };
  const close = () => {
    clearInterval(timer);
    timer = undefined;
    screen.clear();
    screen.done();
  };

  return {
    event: (event) => {
      if (verbosity === 'quiet') return plain.event(event);
      if (event.type === 'stage-start') {
        stages.set(event.stage, { title: event.title, started: now(), rate: new Rate() });
        timer ??= setInterval(draw, FRAME).unref();
        return draw();
      }
      const stage = 'stage' in event ? stages.get(event.stage) : undefined;
      if (event.type === 'progress') {
        if (stage !== undefined) {
          stage.rate.measure(event.done, event.total, now());
          stage.progress = event;
        }
        return;
      }
      if (event.type === 'waiting') {
        if (stage !== undefined) stage.waiting = event.message;
        return;
      }
      if (event.type === 'stage-done' || event.type === 'stage-failed') {
        stages.delete(event.stage);
        const isDone = event.type === 'stage-done';
        const text = redact(printable(isDone ? doneText(event) : event.title));
        screen.persist(`${isDone ? colors.green('✓') : colors.red('✗')} ${text}`);
        if (stages.size === 0) close();
        return;
      }
      plain.event(event);
    },
    result: (value, text, paint) => {
      close();
      plain.result(value, text, paint);
    },
    error: (report) => {
      close();
      createPlainRenderer(options).error(report);
    },
    close,
  };
}

/** `brief` where there is little room: rate and time left tell more than the amounts. */
function details({ progress, waiting, rate, started }: Stage, now: number, brief = false): string {
  const elapsed = formatDuration((now - started) / 1000);
  if (progress === undefined) return [elapsed, waiting].filter((part) => part !== undefined).join(', ');
  const length = brief ? BAR / 2 : BAR;
  const filled = progress.total > 0 ? Math.min(length, Math.round((progress.done / progress.total) * length)) : 0;
  const bar = `${'█'.repeat(filled)}${'░'.repeat(length - filled)}`;
  return `${bar} ${progressText(progress, rate.measure(progress.done, progress.total, now), brief)}`;
}

/** A line that wraps would break the picture. */
function clip(line: string, width: number): string {
  const text = printable(line);
  return text.length <= width ? text : `${text.slice(0, Math.max(0, width - 1))}…`;
}
