import { expect, it } from 'vitest';
import { createFindings, MOST_KEPT } from './findings.ts';

it('keeps the first findings, and tells and counts all', () => {
  let told = 0;
  const findings = createFindings(() => told++);
  for (let n = 0; n < MOST_KEPT + 5; n++)
    findings.add({ tenant: 'stadt', place: `entry ${n}`, problem: 'missing' });
  expect(findings.kept).toHaveLength(MOST_KEPT);
  expect(findings.kept.at(-1)).toMatchObject({ place: `entry ${MOST_KEPT - 1}` });
  expect([findings.count, told]).toEqual([MOST_KEPT + 5, MOST_KEPT + 5]);
});
