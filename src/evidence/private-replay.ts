/**
 * Replays the entries to what must be kept of private messages: a row that was deleted is a letter that reaches
 * nobody, or one that is opened without a record. Marks are compared as the entries pass; only what waits is remembered.
 */
import type { AuditSource, PrivateObject, Report, WaitingAddress } from './audit.ts';
import type { Entry } from './entry.ts';
import { isPrivateEntry } from './private.ts';

export interface PrivateReplay {
  /** Rows in index order; `entry` is null where it was erased or cannot be read. */
  row(index: number, erased: boolean, entry: Entry | null): void;
  end(): void;
}

export function createPrivateReplay(
  source: Pick<AuditSource, 'privateObjects' | 'privateMark' | 'waitingPrivate'>,
  tenant: string,
  report: Report,
): PrivateReplay {
  const waiting = new Map<string, WaitingAddress>();
  const name = ({ index, address }: Omit<WaitingAddress, 'object'>) => `${index} ${address}`;
  const marks = source.privateObjects(tenant)[Symbol.iterator]();
  let mark = marks.next();

  /** Marks that name entries before this one, which are there no more or never were. */
  function passMarksBelow(index: number): void {
    for (; !mark.done && mark.value.index < index; mark = marks.next()) tellStray(mark.value);
  }

  function tellStray({ object, index }: PrivateObject): void {
    report(
      `private message ${object}`,
      `column idx says entry ${index}, which does not say that it is private`,
    );
  }

  function compareMark(object: string, index: number): void {
    const marked = source.privateMark(tenant, object);
    if (marked === null) report(`message of entry ${index}`, 'it is private, but not marked so');
    else if (marked > index)
      report(
        `private message ${object}`,
        `column idx says entry ${marked}, the first to say so is entry ${index}`,
      );
  }

  return {
    row(index, erased, entry) {
      passMarksBelow(index);
      const object = privateObjectOf(entry);
      // An object may outlive the entry that first said that it is private.
      for (; !mark.done && mark.value.index === index; mark = marks.next())
        if (mark.value.object !== object && !erased) tellStray(mark.value);
      if (object !== null) compareMark(object, index);
      switch (entry?.kind) {
        case 'inbound':
        case 'confirmation':
        case 'notification':
          if (object === null) break;
          for (const address of entry.waitsFor ?? []) {
            const one = { index: entry.index, address, object };
            waiting.set(name(one), one);
          }
          break;
        case 'placed':
          for (const address of entry.addresses) waiting.delete(name({ index: entry.about, address }));
          break;
      }
    },
    end() {
      passMarksBelow(Number.POSITIVE_INFINITY);
      for (const one of source.waitingPrivate(tenant)) {
        const place = `waiting message ${one.index}`;
        const expected = waiting.get(name(one));
        waiting.delete(name(one));
        if (expected === undefined)
          report(place, `it waits for ${one.address || 'nobody named'}, but by the entries it does not`);
        else if (expected.object !== one.object)
          report(place, `column object says ${one.object}, its entry ${expected.object}`);
      }
      for (const { index, address } of waiting.values())
        report(
          `waiting message ${index}`,
          `by the entries it waits for ${address || 'nobody named'}, but it does not`,
        );
    },
  };
}

function privateObjectOf(entry: Entry | null): string | null {
  switch (entry?.kind) {
    case 'inbound':
    case 'confirmation':
    case 'notification':
      return isPrivateEntry(entry) ? entry.message.object : null;
    default:
      return null;
  }
}
