/** The PDF beside the XML, with the same content: TR-01201 IO 3.4.1. */
import PDFDocument from 'pdfkit';
import { type Acknowledgement, dateTime, type Statement } from './confirmation-xml.ts';
import { unfoldedValue } from './header.ts';

export function statementPdf(content: Statement | Acknowledgement): Promise<Buffer> {
  const document = new PDFDocument({
    size: 'A4',
    margin: 56,
    info: { Title: printable(content.subject), CreationDate: content.time, ModDate: content.time },
  });
  const chunks: Buffer[] = [];
  const done = new Promise<Buffer>((resolve, reject) => {
    document.on('data', (chunk: Buffer) => chunks.push(chunk));
    document.on('end', () => resolve(Buffer.concat(chunks)));
    document.on('error', reject);
  });
  document.font('Helvetica-Bold').fontSize(14).text(printable(content.subject)).moveDown();
  document.font('Helvetica').fontSize(10).text(printable(content.text)).moveDown();
  const line = (name: string, value: string) => document.text(`${name}: ${printable(value)}`);
  line('Aussteller (Sender)', content.sender);
  line('Zeitpunkt (Time)', dateTime(content.time));
  if ('metadata' in content) {
    if (content.deliveryTime) line('Eingang im Postfach (DeliveryTime)', dateTime(content.deliveryTime));
    line('Prüfsumme (Hash)', content.hash.replaceAll(/\r\n\s*/g, ' '));
    document.moveDown().font('Helvetica-Bold').text('Metadaten der Nachricht').font('Helvetica').fontSize(8);
    for (const field of content.metadata) line(field.name, unfoldedValue(field));
  }
  document.end();
  return done;
}

/** The built-in fonts know Latin-1 only; without embedded fonts the rest becomes a question mark. */
function printable(text: string): string {
  return text.replace(/[^\n\x20-\x7e\xa0-\xff\u2013\u2014\u2018-\u201e\u2026\u20ac]/gu, '?');
}
