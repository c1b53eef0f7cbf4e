#!/usr/bin/env node
/** Entry of the command line. Loads nothing before it knows that this Node can run the rest. */
const needed = 24;
const major = Number(process.versions.node.split('.')[0]);

if (major < needed) {
  process.stderr.write(
    `demail-gateway: needs Node ${needed} or later, this is ${process.version}. ` +
      'In a clone, `npm start` and `npx demail-gateway` use the Node that `npm ci` installed.\n',
  );
  process.exit(78);
}

const { runCommandLine } = await import('./cli/program.ts');
const streams = [process.stdout, process.stderr];
// Whoever reads may stop reading (`| head`): that is no fault of ours.
for (const stream of streams) stream.on('error', () => {});
const code = await runCommandLine(process.argv.slice(2));
// What was written to a pipe may still be on its way, and exit would cut it off.
await Promise.all(streams.map((stream) => new Promise<void>((resolve) => stream.write('', () => resolve()))));
process.exit(code);
