/** A clock that can be moved: what takes 90 days, or ten years, is tried in a second. */

export interface Clock {
  readonly now: () => Date;
  /** Sets the clock to a time, from which it runs on; without one it returns to the true time. */
  set(time?: Date): void;
}

/** @param base the clock that is moved; default: that of the computer */
export function openClock(base: () => Date = () => new Date()): Clock {
  let ahead = 0;
  return {
    now: () => new Date(base().getTime() + ahead),
    set(time) {
      ahead = time === undefined ? 0 : time.getTime() - base().getTime();
    },
  };
}
