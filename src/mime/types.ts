/** What the MIME room finds in a message. Offsets are bytes from the first byte of the message. */

/** RFC 3501 address structure: group syntax is carried by `mailbox` with `host` null. */
export interface EnvelopeAddress {
  readonly name: string | null;
  readonly mailbox: string | null;
  readonly host: string | null;
}

/** RFC 3501 7.4.2 ENVELOPE; strings are the raw (still encoded, unfolded) header values. */
export interface Envelope {
  readonly date: string | null;
  readonly subject: string | null;
  readonly from: readonly EnvelopeAddress[];
  readonly sender: readonly EnvelopeAddress[];
  readonly replyTo: readonly EnvelopeAddress[];
  readonly to: readonly EnvelopeAddress[];
  readonly cc: readonly EnvelopeAddress[];
  readonly bcc: readonly EnvelopeAddress[];
  readonly inReplyTo: string | null;
  readonly messageId: string | null;
}

/** One node of the structure index: enough for BODYSTRUCTURE and every BODY[…] section. */
export interface PartIndex {
  /** First byte of this part's header. */
  readonly headerStart: number;
  /** First byte after the header's blank line. */
  readonly bodyStart: number;
  /** First byte after the body (before the CRLF that belongs to the next delimiter). */
  readonly bodyEnd: number;
  /** Number of line ends in the body. */
  readonly lines: number;
  readonly type: string;
  readonly subtype: string;
  /** Lower-case name and raw value, in order. */
  readonly params: readonly (readonly [string, string])[];
  readonly id: string | null;
  readonly description: string | null;
  readonly encoding: string;
  readonly md5: string | null;
  readonly disposition: {
    readonly type: string;
    readonly params: readonly (readonly [string, string])[];
  } | null;
  readonly language: readonly string[] | null;
  readonly location: string | null;
  /** multipart/*: its parts; message/rfc822: the one enclosed message. */
  readonly parts: readonly PartIndex[];
  /** The message itself, and each enclosed message/rfc822. */
  readonly envelope: Envelope | null;
}

export interface Attachment {
  /** Decoded file name, or null. At most 255 characters. */
  readonly name: string | null;
  readonly type: string;
  /** Bytes after content transfer decoding. */
  readonly size: number;
  /** Lower-case hex SHA-256 of the decoded bytes. */
  readonly sha256: string;
}

export interface MessageIndex {
  readonly size: number;
  readonly root: PartIndex;
  readonly attachments: readonly Attachment[];
  /** True where a limit (depth, part count) cut the index short: what lies below counts as one opaque part. */
  readonly truncated: boolean;
}
