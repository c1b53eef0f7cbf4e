/** What processes have used, from /proc. */
import { readdir, readFile } from 'node:fs/promises';

/** Milliseconds of processor time of a process and all below it, those that have ended included. */
export async function processorTime(pid: number): Promise<number> {
  let ticks = 0;
  for (const member of await familyOf(pid)) {
    const fields = await statOf(member);
    // utime, stime, cutime, cstime: proc_pid_stat(5)
    if (fields !== null) for (const field of fields.slice(11, 15)) ticks += Number(field);
  }
  return ticks * 10;
}

/** Resident bytes of a process and all below it; what they share counts once. */
export async function residentBytes(pid: number): Promise<number> {
  let kib = 0;
  for (const member of await familyOf(pid)) {
    const rollup = await readFile(`/proc/${member}/smaps_rollup`, 'utf8').catch(() => '');
    kib += Number(/^Pss:\s+(\d+) kB$/m.exec(rollup)?.[1] ?? 0);
  }
  return kib * 1024;
}

async function familyOf(pid: number): Promise<number[]> {
  const parents = new Map<number, number>();
  for (const name of await readdir('/proc')) {
    if (!/^\d+$/.test(name)) continue;
    const fields = await statOf(Number(name));
    if (fields !== null) parents.set(Number(name), Number(fields[1]));
  }
  const family = new Set([pid]);
  for (let size = 0; size !== family.size; ) {
    size = family.size;
    for (const [child, parent] of parents) if (family.has(parent)) family.add(child);
  }
  return [...family];
}

/** Fields of /proc/PID/stat from the state on: the name before them may hold anything. */
async function statOf(pid: number): Promise<string[] | null> {
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => null);
  return stat === null ? null : stat.slice(stat.lastIndexOf(') ') + 2).split(' ');
}
