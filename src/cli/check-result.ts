/** What one look of `check` found. */
export interface Result {
  readonly check: string;
  readonly subject: string;
  readonly good: boolean;
  /** Works, but is to be looked at; no finding. */
  readonly warning?: true;
  readonly detail: string;
}

/** Runs one look; whatever it throws is its finding. @param look returns what was seen, in words */
export async function examine(check: string, subject: string, look: () => Promise<string>): Promise<Result> {
  try {
    return { check, subject, good: true, detail: await look() };
  } catch (error) {
    return { check, subject, good: false, detail: (error as Error).message };
  }
}
