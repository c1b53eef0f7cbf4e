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

/** One measure of a run: what it found, and on what machine. */
export interface Measurement {
  readonly name: string;
  readonly machine: Machine;
  readonly figures: readonly Figure[];
}

/** The figures as a page: table first, then how each was measured. */
export function report(measurements: readonly Measurement[]): string {
  const rows = measurements.flatMap(({ figures }) =>
    figures.map(({ what, value, unit, goal }) => {
      const said = goal === undefined ? '' : `${goal.text}: ${goal.reached ? 'reached' : '**missed**'}`;
      return `| ${what} | ${round(value)} ${unit} | ${said} |`;
    }),
  );
  const methods = measurements.flatMap(({ figures, machine }) =>
    [...new Map(figures.map((f) => [f.method, f.what]))].map(
      ([method, what]) => `- ${what} (${shown(machine)}): ${method}`,
    ),
  );
  return [
    '# Measurements',
    '',
    'Written by `npm run bench`. Load generator, peers and gateway share the machine.',
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

function shown({ time, cores, cpu, memoryGiB, node, load }: Machine): string {
  return `${time}, ${cores} × ${cpu}, ${memoryGiB} GiB, Node ${node}, load average before ${round(load)}`;
}

function round(value: number): string {
  return value >= 100 ? String(Math.round(value)) : value.toFixed(2);
}
