import type { Firmware, HypervisorCapabilities, InstallerSource } from '@polyvisor/core';

/** How an installation is started. `media`: from the medium, through whatever boot menu it has. */
export type InstallStart = 'kernel' | 'network' | 'media';

/**
 * How this hypervisor starts this installer. A kernel of its own comes first, because then nothing has to be typed and no
 * menu be waited for. `refusal` says why it cannot be started.
 */
export function chooseStart(
  source: InstallerSource,
  firmware: Firmware,
  { starts }: HypervisorCapabilities,
): { readonly start: InstallStart } | { readonly refusal: string } {
  const { medium } = source;
  const hasKernel = medium.kernel !== undefined && medium.initrd !== undefined;
  const direct = starts.includes('kernel') && hasKernel;
  if (source.start === 'direct') {
    if (direct) return { start: 'kernel' };
    return {
      refusal: hasKernel
        ? 'it cannot start a kernel without a boot loader, as `start: direct` asks'
        : '`start: direct` needs the paths of the kernel and the initrd on the medium',
    };
  }
  if (direct && source.start === 'auto') return { start: 'kernel' };
  if (source.typing.command.length === 0 && source.start === 'typed')
    return { refusal: '`start: typed` needs a boot command' };
  if (medium.kind === 'iso') return menuRefusal(source, 'media');
  if (!starts.includes('network'))
    return {
      refusal:
        'it can start neither a kernel without a boot loader nor a machine over the network, and the medium has nothing else',
    };
  if (medium.bootFiles[firmware] === undefined)
    return { refusal: `the netboot medium names no boot file for ${firmware}` };
  return menuRefusal(source, 'network');
}

/** A boot menu that nobody types at starts what it likes, without the arguments that the installer is to get. */
function menuRefusal(source: InstallerSource, start: InstallStart): ReturnType<typeof chooseStart> {
  if (source.kernelArguments.length > 0 && source.typing.command.length === 0)
    return { refusal: "it cannot give the installer's kernel its arguments: that needs a boot command for the menu" };
  return { start };
}
