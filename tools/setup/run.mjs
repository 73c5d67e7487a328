// Entry of `npm start`, `npm test`, `npm run lint`, `npm run build` and `npm run fuzz`. Needs nothing installed, and keeps to syntax
// that an old Node can read, so that the message below is what its user sees.
import { fileURLToPath } from 'node:url';

const LOWEST = [20, 19];
const EXIT_ENVIRONMENT = 3;

const [major, minor] = process.versions.node.split('.').map(Number);
if (major > LOWEST[0] || (major === LOWEST[0] && minor >= LOWEST[1])) {
  process.chdir(fileURLToPath(new URL('../..', import.meta.url)));
  import('./tasks.mjs').then(({ runTask }) => runTask(process.argv[2], process.argv.slice(3)));
} else {
  console.error(
    `polyvisor needs Node.js ${LOWEST.join('.')} or later, this is ${process.versions.node} (${process.execPath}).\n` +
      "Install a current one (https://nodejs.org/en/download, or your system's package) and run the same command again.",
  );
  process.exitCode = EXIT_ENVIRONMENT;
}
