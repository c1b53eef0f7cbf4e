/** How far is the index by which the facade searches? */
import { existsSync } from 'node:fs';
import type { Config } from '../config/schema.ts';
import type { StorePaths } from '../store/sqlite/open.ts';
import type { Look } from './check-preservation.ts';
import { openReader } from './reader.ts';
import { progressOf } from './search-text.ts';

/** So many are indexed within minutes; more say that indexing does not keep up, or that no gateway ran. */
const manyWaiting = 10_000;

export function searchTextLooks({ tenants }: Config, paths: StorePaths): Look[] {
  if (!existsSync(paths.file)) return [];
  return tenants.map(({ id, searchText }) => ({
    subject: id,
    async look() {
      using reader = openReader(paths);
      const state = await reader.searchTextState(id);
      if (!searchText)
        return { detail: state === null ? 'off: searches read the messages' : 'off from the next start on' };
      if (state === null) return { detail: 'not begun: made while the gateway runs' };
      const detail = progressOf(state);
      return state.waiting > manyWaiting ? { detail, warning: true as const } : { detail };
    },
  }));
}
