/** What is wrong with a key file, where, and what to do. */
export class KeyError extends Error {
  override name = 'KeyError';
}
