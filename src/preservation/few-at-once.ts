/** Files of which each waits for its disk alone: a few on their way make the waiting one. */
const FEW = 4;

/** Does the work for every item, a few at once. @throws the first error, once nothing is under way any more */
export async function fewAtOnce<T>(items: readonly T[], work: (item: T) => Promise<unknown>): Promise<void> {
  const rest = items.values();
  let failed = false;
  const outcomes = await Promise.allSettled(
    Array.from({ length: FEW }, async () => {
      for (const item of rest) {
        if (failed) return;
        await work(item).catch((error) => {
          failed = true;
          throw error;
        });
      }
    }),
  );
  for (const outcome of outcomes) if (outcome.status === 'rejected') throw outcome.reason;
}
