/** Reads over what waits for the malware scanner. */
import type { Deposit, HeldMessage, Reader } from '../store.ts';
import type { ReadContext } from './read-context.ts';

interface HeldRow {
  readonly idx: number;
  readonly object: string;
  readonly size: number;
  readonly copies: string;
  readonly forward: string | null;
}

type Encoded<T> = Omit<T, 'prefix'> & { readonly prefix: string };

export function scanReader({ sql }: ReadContext): Pick<Reader, 'held'> {
  return {
    async held(tenant, now, limit) {
      const rows = sql(
        'SELECT h.idx, h.object, o.size, h.copies, h.forward FROM held h JOIN object o ON o.tenant = h.tenant AND o.object = h.object WHERE h.tenant = ? AND h.next_attempt <= ? ORDER BY h.idx LIMIT ?',
      ).all(tenant, now, limit) as HeldRow[];
      return rows.map(toHeld);
    },
  };
}

function toHeld({ idx, object, size, copies, forward }: HeldRow): HeldMessage {
  const decoded = <T>(item: Encoded<T>) => ({ ...item, prefix: Buffer.from(item.prefix, 'base64') });
  return {
    index: idx,
    object,
    size,
    deposits: (JSON.parse(copies) as Encoded<Deposit>[]).map((copy) => decoded<Deposit>(copy) as Deposit),
    forward:
      forward === null
        ? null
        : (decoded(JSON.parse(forward) as Encoded<NonNullable<HeldMessage['forward']>>) as NonNullable<
            HeldMessage['forward']
          >),
  };
}
