import fc from 'fast-check';

/**
 * Any Unicode scalar value, as a unit of `fc.string`. What fast-check calls `binary` is the same set, but
 * takes seconds to set up in each test file.
 */
export const codePoint = fc
  .integer({ min: 0, max: 0x10f7ff })
  .map((n) => String.fromCodePoint(n < 0xd800 ? n : n + 0x800));
