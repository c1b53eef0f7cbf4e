export interface Figure {
  readonly what: string;
  readonly value: number;
  readonly unit: string;
  /** What has to be reached, where there is such a thing. */
  readonly goal?: { readonly text: string; readonly reached: boolean };
  readonly method: string;
}

export interface Machine {
  readonly time: string;
  readonly node: string;
  readonly cpu: string;
  readonly cores: number;
  /** Average number of runnable processes in the minute before the run. */
  readonly load: number;
  readonly memoryGiB: number;
}

/** The figures as a page: table first, then how each was measured. */
export function report(machine: Machine, figures: readonly Figure[]): string {
  const rows = figures.map(({ what, value, unit, goal }) => {
    const said = goal === undefined ? '' : `${goal.text}: ${goal.reached ? 'reached' : '**missed**'}`;
    return `| ${what} | ${round(value)} ${unit} | ${said} |`;
  });
  const methods = [...new Map(figures.map((f) => [f.method, f.what]))].map(([m, what]) => `- ${what}: ${m}`);
  return [
    '# Measurements',
    '',
    `Written by \`npm run bench\` at ${machine.time}: ${machine.cores} × ${machine.cpu}, ` +
      `${machine.memoryGiB} GiB, Node ${machine.node}; load average before the run ${round(machine.load)}. Load generator, peers and gateway share the machine.`,
    '',
    '| what | value | goal |',
    '|---|---|---|',
    ...rows,
    '',
    '## Method',
    '',
    ...methods,
    '',
  ].join('\n');
}

function round(value: number): string {
  return value >= 100 ? String(Math.round(value)) : value.toFixed(2);
}
