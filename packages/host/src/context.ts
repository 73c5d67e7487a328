import { createLogger, type Emit, type PluginContext } from '@polyvisor/core';
import type { Commands } from './commands.js';

/** What one plugin gets: a log in its own name and the right to run programs. */
export function createContext(pluginName: string, commands: Commands, emit: Emit): PluginContext {
  const log = createLogger(emit, pluginName);
  return {
    log,
    run: (command, args, options) => commands.run(log, command, args, options),
    start: (command, args, options) => commands.start(log, command, args, options),
  };
}
