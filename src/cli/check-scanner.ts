/** Is the malware scanner there, and does it take messages as large as the gateway does? */
import type { Config } from '../config/schema.ts';
import { scanStream, version } from '../inspection/clamd.ts';

/** @returns what was seen, in words. @throws Error what is wrong */
export async function probeScanner(
  { clamd, tooLarge }: Omit<NonNullable<Config['malware']>, 'append'>,
  messageSize: number,
): Promise<string> {
  const name = await version(clamd);
  // clamd does not tell its limit: only a stream of that size shows it.
  const { result } = await scanStream(clamd, zeros(messageSize));
  const size = `${Math.ceil(messageSize / 1024 ** 2)}M`;
  if (result === 'too-large' && tooLarge === 'hold')
    throw new Error(
      `${name} does not take messages of limits.messageSize; set StreamMaxLength ${size} in clamd.conf`,
    );
  return result === 'too-large'
    ? `${name}; messages beyond its StreamMaxLength pass unscanned`
    : `${name}, takes messages of ${size}`;
}

async function* zeros(size: number): AsyncGenerator<Buffer> {
  const piece = Buffer.alloc(128 * 1024);
  for (let left = size; left > 0; left -= piece.length) yield piece.subarray(0, left);
}
