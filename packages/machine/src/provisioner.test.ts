import type { PluginContext, Provisioner } from '@polyvisor/core';
import { describeProvisioner, fakeTool, sampleAppliance } from '@polyvisor/testkit';
import { afterAll, beforeAll, describe, expect } from 'vitest';
import { z } from 'zod';
import { fakeCapabilities, FakeHypervisor } from './flow/fake-hypervisor.test-support.js';
import { Scenario, SIZE } from './flow/scenario.test-support.js';
import { machineProvisioner } from './provisioner.js';

const TOOL = 'hypervisor';

describe.each(['installer', 'disk'] as const)(
  'a provisioner made from a hypervisor, with a source of the kind %s',
  (kind) => {
    let scenario: Scenario;
    const hypervisors: FakeHypervisor[] = [];
    beforeAll(async () => {
      scenario = await Scenario.create();
    });
    afterAll(async () => {
      expect(hypervisors.flatMap(({ alive }) => [...alive])).toEqual([]);
      await scenario[Symbol.asyncDispose]();
    });

    /** Each thing that the hypervisor or a machine is asked for is a command, so the suite can make each of them fail. */
    const make = (context: PluginContext): Provisioner =>
      machineProvisioner({
        id: 'fake',
        summary: 'machines that are functions',
        architectures: ['x86_64'],
        firmware: ['bios'],
        options: z.strictObject({}),
        capabilities: fakeCapabilities,
        probe: async (signal) => {
          try {
            return { usable: true, version: (await context.run(TOOL, ['--version'], { signal })).stdout };
          } catch (error) {
            return { usable: false, reason: (error as Error).message, hint: `install ${TOOL}, which nobody can` };
          }
        },
        hypervisor: () => {
          const hypervisor = new FakeHypervisor({
            program: scenario.program(),
            // What takes no signal is none of the real hypervisors' commands either.
            before: async (call, signal) => {
              if (signal !== undefined) await context.run(TOOL, call.split(' '), { signal });
            },
          });
          hypervisors.push(hypervisor);
          return hypervisor;
        },
      });

    describeProvisioner(make, {
      appliance: async () => ({
        ...sampleAppliance,
        firmware: ['bios'],
        disk: { size: SIZE, partitions: [] },
        source: kind === 'installer' ? scenario.installer() : (await scenario.existingDisk()).source,
      }),
      tools: async (directory) => void (await fakeTool(directory, TOOL, [{ when: /./ }])),
    });
  },
);
