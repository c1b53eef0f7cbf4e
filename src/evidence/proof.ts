/** `c2sp.org/tlog-proof@v1`: a self-contained receipt that one leaf stands in a signed log. */

/** Text of a proof: index, audit path, checkpoint. */
export function formatProof(index: number, path: readonly Uint8Array[], checkpoint: string): string {
  const hashes = path.map((hash) => `${Buffer.from(hash).toString('base64')}\n`).join('');
  return `c2sp.org/tlog-proof@v1\nindex ${index}\n${hashes}\n${checkpoint}`;
}
