/** Waking a loop: by a sign that something happened, or by somebody who asks and wants to know how it went. */

export interface Sign {
  give(): void;
  /** Resolves once a sign was given since the last `clear`. */
  given(): Promise<void>;
  clear(): void;
}

export function createSign(): Sign {
  let current = Promise.withResolvers<void>();
  return {
    give: () => current.resolve(),
    given: () => current.promise,
    clear() {
      current = Promise.withResolvers<void>();
    },
  };
}

export interface Requests {
  /** Resolves when a round that began after the request has succeeded; rejects when it failed. */
  ask(): Promise<void>;
  /** Resolves once somebody asks, or has asked and was not taken yet. */
  asked(): Promise<void>;
  /** The open requests, at the beginning of a round. */
  take(): readonly Request[];
  /** All open requests fail: taken or not. */
  failed(error: unknown): void;
}

interface Request {
  succeeded(): void;
}

export function createRequests(): Requests {
  const sign = createSign();
  const waiting = new Set<PromiseWithResolvers<void>>();
  return {
    ask() {
      const request = Promise.withResolvers<void>();
      waiting.add(request);
      sign.give();
      return request.promise;
    },
    asked: () => sign.given(),
    take() {
      sign.clear();
      return [...waiting].map((request) => ({
        succeeded() {
          waiting.delete(request);
          request.resolve();
        },
      }));
    },
    failed(error) {
      sign.clear();
      for (const request of waiting) request.reject(error);
      waiting.clear();
    },
  };
}
