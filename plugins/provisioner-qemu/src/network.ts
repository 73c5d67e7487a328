import type { Start } from '@polyvisor/core';
import { escapeCommas } from '@polyvisor/qemu';

/** Models of network cards, the default first, and the devices that they are. Each has a start program for the network. */
const NETWORK_CARDS = {
  virtio: 'virtio-net-pci',
  e1000: 'e1000',
  e1000e: 'e1000e',
  rtl8139: 'rtl8139',
  pcnet: 'pcnet',
  vmxnet3: 'vmxnet3',
} as const;

export type NetworkCard = keyof typeof NETWORK_CARDS;

export const NETWORK_CARD_NAMES = Object.keys(NETWORK_CARDS) as readonly NetworkCard[];

/** Id of the network that the guest's card is attached to. */
export const NETWORK_ID = 'network';

/**
 * A network of the guest's own, with a way out and this computer at 10.0.2.2. Ports are taken on 127.0.0.1 alone; which, the
 * system chooses at that moment, so that no two machines can want the same.
 */
export function networkArguments(card: NetworkCard, forwardedPorts: readonly number[], start: Start): string[] {
  const offered =
    start.kind === 'network'
      ? [`tftp=${escapeCommas(start.directory)}`, `bootfile=${escapeCommas(start.bootFile)}`]
      : [];
  const forwards = forwardedPorts.map((port) => `hostfwd=tcp:127.0.0.1:0-:${port}`);
  // Where this computer has no IPv6, guests that are offered some try it first, and wait.
  const network = ['user', `id=${NETWORK_ID}`, 'ipv6=off', ...offered, ...forwards].join(',');
  // Without its start program the firmware neither waits for a network nor falls back to it.
  const boot = start.kind === 'network' ? 'bootindex=1' : 'romfile=';
  return ['-netdev', network, '-device', `${NETWORK_CARDS[card]},netdev=${NETWORK_ID},${boot}`];
}

/** Ports of this computer by ports of the guest, from what `info usernet` prints: a table of connections. */
export function parseForwards(table: string): ReadonlyMap<number, number> {
  const ports = new Map<number, number>();
  for (const [, host, guest] of table.matchAll(/TCP\[HOST_FORWARD\]\s+\d+\s+127\.0\.0\.1\s+(\d+)\s+\S+\s+(\d+)/g))
    ports.set(Number(guest), Number(host));
  return ports;
}
