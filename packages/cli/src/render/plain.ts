import pc from 'picocolors';
import { reportLines } from '../error-report.js';
import { Rate } from './rate.js';
import type { Renderer, RenderOptions } from './renderer.js';
import { doneText, progressText } from './wording.js';

/** Time between two lines about the progress of one stage, in milliseconds. */
const INTERVAL = 10_000;

/** Lines for logs and pipes: one for each event, nothing is ever taken back. */
export function createPlainRenderer({ stdout, stderr, verbosity, color, redact, now }: RenderOptions): Renderer {
  const colors = pc.createColors(color);
  const say = (line: string) => void stderr.write(`${redact(line)}\n`);
  const stages = new Map<string, { readonly title: string; readonly rate: Rate; shown: number }>();
  return {
    event: (event) => {
      if (event.type === 'log') {
        if (event.level === 'warn') say(`${colors.yellow('warning:')} ${event.scope}: ${event.message}`);
        else if (verbosity === 'verbose' || (event.level === 'info' && verbosity === 'normal'))
          say(`${event.scope}: ${event.message}`);
        return;
      }
      if (verbosity === 'quiet') return;
      if (event.type === 'stage-start') {
        stages.set(event.stage, { title: event.title, rate: new Rate(), shown: now() });
        say(`${event.title} …`);
      } else if (event.type === 'stage-done') {
        stages.delete(event.stage);
        say(`${colors.green('done:')} ${doneText(event)}`);
      } else if (event.type === 'stage-failed') {
        stages.delete(event.stage);
        say(`${colors.red('failed:')} ${event.title}`);
      } else if (event.type === 'waiting') {
        say(`${event.stage}: waiting for ${event.message}`);
      } else if (event.type === 'progress') {
        const stage = stages.get(event.stage);
        if (stage === undefined) return;
        const pace = stage.rate.measure(event.done, event.total, now());
        if (now() - stage.shown < INTERVAL) return;
        stage.shown = now();
        say(`${stage.title}: ${progressText(event, pace)}`);
      }
    },
    result: (_, text) => void stdout.write(text === '' ? '' : `${redact(text)}\n`),
    error: (report) => {
      for (const line of reportLines(report)) say(line);
      say(`${colors.red('error:')} ${report.message}`);
      if (report.hint !== undefined) say(`${colors.cyan('hint:')} ${report.hint}`);
    },
    close: () => undefined,
  };
}
