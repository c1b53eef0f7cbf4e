/** Secrets typed at the terminal, or piped in: never arguments, which everyone on the host can read. */
import { createInterface } from 'node:readline/promises';
import { Writable } from 'node:stream';

/** Reads one line without showing it; the prompt is for terminals alone. */
export async function readPassword(prompt: string): Promise<string> {
  const { stdin, stderr } = process;
  const silent = new Writable({ write: (_chunk, _encoding, done) => done() });
  if (stdin.isTTY) stderr.write(prompt);
  const lines = createInterface({ input: stdin, output: silent, terminal: stdin.isTTY ?? false });
  try {
    for await (const line of lines) return line;
    return '';
  } finally {
    lines.close();
    if (stdin.isTTY) stderr.write('\n');
  }
}
