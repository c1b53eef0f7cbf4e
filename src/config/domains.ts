/** Does a domain count as De-Mail? The BSI trust list decides; the configuration carries it as patterns. */

/** `patterns`: domains, or `*.domain` for everything below it. `domain` in lower case. Pure. */
export function isDemailDomain(patterns: readonly string[], domain: string): boolean {
  return patterns.some((pattern) =>
    pattern.startsWith('*.')
      ? domain.length > pattern.length - 1 && domain.endsWith(pattern.slice(1))
      : domain === pattern,
  );
}
