/**
 * ASiCEvidenceRecordManifest (ETSI EN 319 162-1 A.4): which files an evidence record is about. It is printed in one way
 * only, so that reading one and printing it again tells whether it says anything else.
 */
import type { ArchiveDigest } from '../entry.ts';

const ASIC = 'http://uri.etsi.org/02918/v1.2.1#';
const XMLDSIG = 'http://www.w3.org/2000/09/xmldsig#';
/** RFC 4998 has no registered media type. */
const RECORD_TYPE = 'application/octet-stream';

const digestUris: Readonly<Record<ArchiveDigest, string>> = {
  sha256: 'http://www.w3.org/2001/04/xmlenc#sha256',
  sha384: 'http://www.w3.org/2001/04/xmldsig-more#sha384',
  sha512: 'http://www.w3.org/2001/04/xmlenc#sha512',
};

export interface ManifestFile {
  readonly name: string;
  readonly type: string;
  readonly digest: Buffer;
}

export interface Manifest {
  readonly record: string;
  readonly digest: ArchiveDigest;
  readonly files: readonly ManifestFile[];
}

/** Names are of the bundle's own making: none needs escaping. */
export function printManifest({ record, digest, files }: Manifest): string {
  const references = files.map(
    (file) =>
      `  <asic:DataObjectReference URI="${file.name}" MimeType="${file.type}">\n` +
      `    <ds:DigestMethod Algorithm="${digestUris[digest]}"/>\n` +
      `    <ds:DigestValue>${file.digest.toString('base64')}</ds:DigestValue>\n` +
      '  </asic:DataObjectReference>\n',
  );
  return (
    '<?xml version="1.0" encoding="UTF-8"?>\n' +
    `<asic:ASiCManifest xmlns:asic="${ASIC}" xmlns:ds="${XMLDSIG}">\n` +
    `  <asic:SigReference URI="${record}" MimeType="${RECORD_TYPE}"/>\n` +
    `${references.join('')}</asic:ASiCManifest>\n`
  );
}

/** Names of the files that a manifest lists, in its order; empty for what is none. */
export function filesOfManifest(text: string): string[] {
  return [...text.matchAll(/<asic:DataObjectReference URI="([^"<>&]{1,255})"/g)].map(([, name]) => name!);
}

/** The digest that a manifest of our making names; null for another one. */
export function digestOfManifest(text: string): ArchiveDigest | null {
  const uri = /<ds:DigestMethod Algorithm="([^"]{1,100})"\/>/.exec(text)?.[1];
  const names = Object.keys(digestUris) as ArchiveDigest[];
  return names.find((name) => digestUris[name] === uri) ?? null;
}
