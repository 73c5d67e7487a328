import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { PluginContext } from '@polyvisor/core';
import type { MachineArchive } from '@polyvisor/definition';

/** Where this machine's apt gets Debian from, and through which proxy; empty where there is no such thing. */
export async function machineArchive(
  context: Pick<PluginContext, 'run'>,
  env: NodeJS.ProcessEnv,
  etc = '/etc/apt',
): Promise<MachineArchive> {
  const mirror = (await archiveAddresses(etc)).find(isDebian);
  const proxy = (await aptProxy(context)) ?? env['http_proxy'] ?? '';
  return { ...(mirror === undefined ? {} : { mirror }), ...(proxy === '' ? {} : { proxy }) };
}

/** Addresses of the archives, in the order in which apt reads them. */
async function archiveAddresses(etc: string): Promise<readonly string[]> {
  const parts = join(etc, 'sources.list.d');
  const names = (await readdir(parts).catch(() => [])).sort();
  const files = [join(etc, 'sources.list'), ...names.map((name) => join(parts, name))];
  const found = await Promise.all(
    files.map(async (file) => {
      const text = await readFile(file, 'utf8').catch(() => '');
      return file.endsWith('.sources') ? deb822(text) : file.endsWith('.list') ? oneLine(text) : [];
    }),
  );
  return found.flat();
}

/** Of the one-line format of sources.list(5). */
function oneLine(text: string): readonly string[] {
  return [...text.matchAll(/^[ \t]*deb[ \t]+(?:\[[^\]\n]*\][ \t]*)?(\S+)/gm)].map(([, address]) => address ?? '');
}

/** Of the deb822 format of sources.list(5). */
function deb822(text: string): readonly string[] {
  const paragraphs = text.replaceAll(/^#.*\n?/gm, '').split(/\n\s*\n/);
  return paragraphs.flatMap((paragraph) => {
    const field = (name: string) =>
      new RegExp(`^${name}:(.*(?:\\n[ \\t]+.*)*)`, 'im').exec(paragraph)?.[1]?.trim() ?? '';
    const isOn = !/^(?:no|false|0|off|disable)$/i.test(field('Enabled'));
    return isOn && field('Types').split(/\s+/).includes('deb') ? field('URIs').split(/\s+/) : [];
  });
}

/** Security fixes and other vendors have archives of their own. */
function isDebian(address: string): boolean {
  if (!URL.canParse(address)) return false;
  const { protocol, pathname } = new URL(address);
  return /^https?:$/.test(protocol) && /\/debian\/*$/.test(pathname);
}

async function aptProxy(context: Pick<PluginContext, 'run'>): Promise<string | undefined> {
  const options = ['dump', '--no-empty', '--format', '%f "%v"%n'];
  const settings = await context.run('apt-config', options).catch(() => undefined);
  const proxy = /^Acquire::http::Proxy "(.+)"$/im.exec(settings?.stdout ?? '')?.[1];
  return proxy === 'DIRECT' ? '' : proxy;
}
