/** What one CRL or OCSP response says about one certificate, before anyone asks whether it is recent enough. */

export type RevocationStatus =
  /** It says nothing about the certificate, or may not: `reason` in words. */
  | { readonly kind: 'refused'; readonly reason: string }
  /** Nothing wrong, only about somebody else. */
  | { readonly kind: 'other' }
  | {
      readonly kind: 'good' | 'revoked';
      /** thisUpdate: the moment that it speaks of. */
      readonly issuedAt: Date;
      /** nextUpdate: newer data must exist from then on. */
      readonly nextAt: Date | null;
      /** Revoked: from when on; null where good. */
      readonly revokedAt: Date | null;
      /** Revoked: certificateHold may be lifted again. */
      readonly onHold: boolean;
    };

/** CRLReason (RFC 5280 5.3.1). */
export const CERTIFICATE_HOLD = 6;
export const REMOVE_FROM_CRL = 8;
