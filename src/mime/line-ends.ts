/** Line ends of a message on the wire: CRLF and nothing else (RFC 5321 2.3.8). */

export interface LineEndViolation {
  readonly kind: 'bare-cr' | 'bare-lf' | 'line-too-long';
  /** Byte offset in the message: of the bare CR or LF, or of the first byte beyond the limit. */
  readonly offset: number;
}

export interface LineEndCheck {
  /** The first violation, or null. Once there is one, it is returned for ever. */
  push(chunk: Uint8Array): LineEndViolation | null;
  /** After the last chunk: a final CR without LF is bare. A last line without any line end is none. */
  finish(): LineEndViolation | null;
}

const LF = 10;
const CR = 13;

/**
 * Checks a stream for bare CR, bare LF and overlong lines, whatever the chunk borders.
 *
 * @param maxLine longest line in bytes, CRLF included (RFC 5321 4.5.3.1.6: 1000)
 */
export function createLineEndCheck(maxLine = 1000): LineEndCheck {
  let offset = 0;
  let lineStart = 0;
  let afterCr = false;
  let found: LineEndViolation | null = null;

  /** Of two violations in one line the first counts, however the stream was cut. */
  function first(kind: LineEndViolation['kind'], at: number): LineEndViolation {
    const limit = lineStart + maxLine;
    return at >= limit ? { kind: 'line-too-long', offset: limit } : { kind, offset: at };
  }

  function scan(chunk: Uint8Array): LineEndViolation | null {
    // A local, not the closure's variable: this loop runs over every byte received.
    let cr = afterCr;
    for (let i = 0; i < chunk.length; i += 1) {
      const byte = chunk[i];
      if (byte === LF) {
        const at = offset + i;
        if (!cr) return first('bare-lf', at);
        if (at - lineStart >= maxLine) return { kind: 'line-too-long', offset: lineStart + maxLine };
        lineStart = at + 1;
        cr = false;
      } else if (cr) {
        return first('bare-cr', offset + i - 1);
      } else if (byte === CR) {
        cr = true;
      }
    }
    afterCr = cr;
    offset += chunk.length;
    return offset - lineStart > maxLine ? { kind: 'line-too-long', offset: lineStart + maxLine } : null;
  }

  return {
    push(chunk) {
      found ??= scan(chunk);
      return found;
    },
    finish() {
      if (afterCr) found ??= first('bare-cr', offset - 1);
      return found;
    },
  };
}
