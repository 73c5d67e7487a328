import type { Booter, DiskConverter, Emit, Provisioner } from '@polyvisor/core';
import type { Commands } from './commands.js';
import type { Contribution, Contributions } from './contributions.js';
import type { InjectionToken } from './injection.js';
import type { LoadedPlugin } from './load.js';

/** What the host's parts ask the container for. Symbols with a type: never a string, never somebody else's class. */
export const EMIT: InjectionToken<Emit> = Symbol('Emit');
/** Variables of the process that started the run; commands get few of them. */
export const ENVIRONMENT: InjectionToken<NodeJS.ProcessEnv> = Symbol('Environment');
export const PLUGINS: InjectionToken<readonly LoadedPlugin[]> = Symbol('Plugins');
export const COMMANDS: InjectionToken<Commands> = Symbol('Commands');
export const CONTRIBUTIONS: InjectionToken<Contributions> = Symbol('Contributions');
export const CONVERTER: InjectionToken<Contribution<DiskConverter>> = Symbol('Converter');
export const PROVISIONER: InjectionToken<Contribution<Provisioner>> = Symbol('Provisioner');
export const BOOTER: InjectionToken<Contribution<Booter>> = Symbol('Booter');
