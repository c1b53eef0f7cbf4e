/** Something that must be free or running is not: a port, the store, a running gateway. Exit code 69. */
export class Unavailable extends Error {
  constructor(message: string, cause?: unknown) {
    super(message, { cause });
    this.name = 'Unavailable';
  }
}
