/** DER by hand (X.690), where a library has no say in what is written. */
import * as asn1js from 'asn1js';
import { arrayBuffer } from './certificate.ts';

export function oid(value: string): asn1js.ObjectIdentifier {
  return new asn1js.ObjectIdentifier({ value });
}

export function integer(value: number): asn1js.Integer {
  return new asn1js.Integer({ value });
}

export function octets(bytes: Uint8Array): asn1js.OctetString {
  return new asn1js.OctetString({ valueHex: arrayBuffer(bytes) });
}

export function bits(bytes: Uint8Array, unusedBits = 0): asn1js.BitString {
  return new asn1js.BitString({ valueHex: arrayBuffer(bytes), unusedBits });
}

export function sequence(value: asn1js.BaseBlock[]): asn1js.Sequence {
  return new asn1js.Sequence({ value });
}

export function set(value: asn1js.BaseBlock[]): asn1js.Set {
  return new asn1js.Set({ value: sorted(value) });
}

/** X.690 11.6: the elements of a SET OF stand in ascending order of their encodings. */
export function sorted(value: asn1js.BaseBlock[]): asn1js.BaseBlock[] {
  return value.toSorted((left, right) => Buffer.compare(encode(left), encode(right)));
}

/** `[n]`, constructed: EXPLICIT over one element, or IMPLICIT over those of a SEQUENCE or SET. */
export function tagged(tagNumber: number, value: asn1js.BaseBlock[]): asn1js.BaseBlock {
  return new asn1js.Constructed({ idBlock: { tagClass: 3, tagNumber }, value });
}

/** `[n] IMPLICIT NULL`. */
export function taggedNull(tagNumber: number): asn1js.BaseBlock {
  return new asn1js.Primitive({ idBlock: { tagClass: 3, tagNumber } });
}

/** RFC 3161 2.4.2, RFC 5280 4.1.2.5.2: UTC; a fraction only where there is one, without trailing zeros. */
export function generalizedTime(time: Date): asn1js.BaseBlock {
  const [seconds, fraction = ''] = time
    .toISOString()
    .replaceAll(/[-:TZ]/g, '')
    .split('.');
  const digits = fraction.replace(/0+$/, '');
  const text = `${seconds}${digits === '' ? '' : `.${digits}`}Z`;
  return new asn1js.Primitive({
    idBlock: { tagClass: 1, tagNumber: 24 },
    valueHex: arrayBuffer(Buffer.from(text)),
  });
}

export function wholeSecond(time: Date): Date {
  return new Date(Math.floor(time.getTime() / 1000) * 1000);
}

/** What is encoded already. */
export function raw(der: Buffer): asn1js.BaseBlock {
  return asn1js.fromBER(arrayBuffer(der)).result;
}

export function encode(block: asn1js.BaseBlock): Buffer {
  return Buffer.from(block.toBER());
}
