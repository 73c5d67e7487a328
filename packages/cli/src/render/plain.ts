import pc from 'picocolors';
import { formatDuration } from '../duration.js';
import { reportLines } from '../error-report.js';
import { Rate } from './rate.js';
import type { Renderer, RenderOptions } from './renderer.js';
import { doneText, printable, progressText } from './wording.js';

/** Time between two lines about one stage, in milliseconds: of its progress, and of what it waits for. */
const INTERVAL = { progress: 10_000, waiting: 15_000 };

/** The most of a console's line that is shown, in characters: it is there to see that something goes on. */
const SHOWN = 60;

/** Lines for logs and pipes: one for each event, nothing is ever taken back. */
export function createPlainRenderer(options: RenderOptions): Renderer {
  const { stdout, stderr, verbosity, color, answerColor = false, redact, now } = options;
  const colors = pc.createColors(color);
  const say = (text: string, mark = '') => void stderr.write(`${mark}${redact(printable(text))}\n`);
  const stages = new Map<
    string,
    { readonly title: string; readonly rate: Rate; readonly started: number; shown: number }
  >();
  return {
    event: (event) => {
      if (event.type === 'log') {
        const text = `${event.scope}: ${event.message}`;
        if (event.level === 'warn') say(text, colors.yellow('warning: '));
        else if (verbosity === 'verbose' || (event.level === 'info' && verbosity === 'normal')) say(text);
        return;
      }
      if (verbosity === 'quiet') return;
      if (event.type === 'stage-start') {
        stages.set(event.stage, { title: event.title, rate: new Rate(), started: now(), shown: now() });
        say(`${event.title} …`);
      } else if (event.type === 'stage-done') {
        stages.delete(event.stage);
        say(doneText(event), colors.green('done: '));
      } else if (event.type === 'stage-failed') {
        stages.delete(event.stage);
        say(event.title, colors.red('failed: '));
      } else if (event.type === 'progress' || event.type === 'waiting') {
        const stage = stages.get(event.stage);
        if (stage === undefined) return;
        const text =
          event.type === 'waiting'
            ? waitingText(now() - stage.started, event.message)
            : progressText(event, stage.rate.measure(event.done, event.total, now()));
        if (now() - stage.shown < INTERVAL[event.type]) return;
        stage.shown = now();
        say(`${stage.title}: ${text}`);
      }
    },
    result: (_, text, paint) => {
      const shown = redact(printable(text));
      const painted = paint === undefined || !answerColor ? shown : paint(shown, pc.createColors(true));
      stdout.write(text === '' ? '' : `${painted}\n`);
    },
    error: (report) => {
      for (const line of reportLines(report)) say(line);
      say(report.message, colors.red('error: '));
      if (report.hint !== undefined) say(report.hint, colors.cyan('hint: '));
    },
    close: () => undefined,
  };
}

function waitingText(elapsed: number, message: string): string {
  const line = message.trim();
  return `${formatDuration(elapsed / 1000)}, at: ${line.length <= SHOWN ? line : `${line.slice(0, SHOWN - 1)}…`}`;
}
