import { userInfo } from 'node:os';
import type { Actor } from '../evidence/entry.ts';

/** Who runs this command, as the evidence names them. */
export function operator(): Actor {
  return { type: 'operator', name: userInfo().username };
}
