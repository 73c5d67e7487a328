import { createJsonRenderer } from './json.js';
import { createPlainRenderer } from './plain.js';
import type { Renderer, RenderOptions } from './renderer.js';
import { createTtyRenderer } from './tty.js';

/** Whoever reads decides: a program, a person at a terminal, or a log. */
export function createRenderer(options: RenderOptions, json: boolean, env: NodeJS.ProcessEnv): Renderer {
  if (json) return createJsonRenderer(options);
  // A pseudo-terminal that nobody gave a size (as under `script` or `docker run -t` in a job) shows no picture at all.
  const { isTTY, columns } = options.stderr;
  const live = isTTY === true && columns !== 0 && env['TERM'] !== 'dumb' && !env['CI'];
  return live ? createTtyRenderer(options) : createPlainRenderer(options);
}
