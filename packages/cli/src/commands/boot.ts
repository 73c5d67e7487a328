import { rm } from 'node:fs/promises';
import { resolve } from 'node:path';
import { bootImage } from '@polyvisor/build';
import { DefinitionError } from '@polyvisor/core';
import { Option } from '@commander-js/extra-typings';
import { firstUsable, nothingLoaded } from '../choose.js';
import { formatDuration } from '../duration.js';
import { openImage } from '../image.js';
import { addImageOptions } from '../image-options.js';
import { stemOf } from '../output-names.js';
import { byteSize, count, duration, pattern } from '../parse-option.js';
import { firmwareOf } from '../partitions.js';
import { workRoot } from '../places.js';
import type { Configure } from '../program.js';

const GIBIBYTE = 2 ** 30;

export const configure: Configure = (command, session) => {
  addImageOptions(command.argument('<image>', 'finished image, started as it is and never changed'))
    .addOption(
      new Option('--firmware <kind>', 'by default what the disk is made for').choices(['bios', 'uefi'] as const),
    )
    .addOption(
      new Option('--arch <name>', 'processor').choices(['x86_64', 'arm64'] as const).default('x86_64' as const),
    )
    .option('--booter <id>', 'what starts it; by default the first one that works here')
    .option('--bus <kind>', 'disk controller; `polyvisor plugins --options <booter>` lists them')
    .option('--cpus <count>', 'processors of the machine', count, 2)
    .option('--memory <size>', 'memory of the machine', byteSize, GIBIBYTE)
    .option('--expect <pattern>', 'regular expression that the serial console must show', pattern)
    .option(
      '--timeout <time>',
      'how long it may take with hardware acceleration; without it, more is allowed',
      duration,
    )
    .option('--console-log <file>', 'keep what the serial console said here, also when the boot succeeds')
    .addHelpText(
      'after',
      `
Waits for the login prompt on the serial console. A boot that fails (exit code 4) leaves the console's log and a screenshot.

Examples:
  $ polyvisor boot disk.qcow2
  $ polyvisor boot appliance.ova --firmware uefi --timeout 5m
  $ polyvisor boot disk.vhd --expect 'Welcome to .*' --console-log console.txt`,
    )
    .action(async (path, options) => {
      const run = session();
      const { io, signal, emit } = run;
      const host = await run.host();
      const booter =
        options.booter === undefined ? await firstUsable(host.booters(), signal) : host.booter(options.booter);
      if (booter === undefined) throw nothingLoaded('booter');
      await using image = await openImage(run, path, options);
      if (!image.standalone) {
        throw new DefinitionError('boot-needs-file', `${path} is not a finished image that can be started as it is`, {
          hint: 'convert it first: `polyvisor convert` takes compressed images, pipes and parents',
        });
      }
      const made = await firmwareOf(image.disk);
      const firmware = options.firmware ?? made.find((kind) => booter.capabilities.firmware.includes(kind)) ?? 'bios';
      const consoleLog = resolve(io.cwd, options.consoleLog ?? `${stemOf(path)}-${firmware}-console.log`);
      const report = await bootImage({
        path: image.file.path,
        converter: image.converter,
        booter,
        architecture: options.arch,
        firmware,
        bus: options.bus,
        cpus: options.cpus,
        memory: options.memory,
        expect: options.expect,
        timeout: options.timeout,
        workRoot: options.workDir === undefined ? workRoot(io.env) : resolve(io.cwd, options.workDir),
        consoleLog,
        emit,
        signal,
      });
      if (options.consoleLog === undefined) await rm(consoleLog, { force: true });
      run.answer(
        { command: 'boot', path, format: image.converter.id, firmware, booter: booter.id, ...report },
        `${path} (${image.converter.id}) booted under ${firmware.toUpperCase()} in ${formatDuration(report.duration / 1000)}, ` +
          `${booter.id} with ${report.acceleration}: ${report.matched.trim()}`,
      );
    });
};
