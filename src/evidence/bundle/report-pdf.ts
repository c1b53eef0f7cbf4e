/** `report.pdf`: the report for people. The same report gives the same bytes: nothing in it tells when it was made. */
import PDFDocument from 'pdfkit';
import type { EvidenceReport } from './report.ts';
import { describeReport, type Language } from './report-text.ts';

/** Points. */
const margin = 56;
const languages: readonly Language[] = ['de', 'en'];

export async function reportPdf(report: EvidenceReport): Promise<Buffer> {
  const made = new Date(report.time);
  const document = new PDFDocument({
    size: 'A4',
    margin,
    // What zlib makes of it changes from version to version.
    compress: false,
    lang: 'de-DE',
    info: {
      Title: `${report.tenant}/${report.letter}`,
      Creator: 'demail-gateway',
      Producer: 'demail-gateway',
      CreationDate: made,
      ModDate: made,
    },
  });
  const chunks: Buffer[] = [];
  const done = new Promise<Buffer>((resolve, reject) => {
    document.on('data', (chunk: Buffer) => chunks.push(chunk));
    document.on('end', () => resolve(Buffer.concat(chunks)));
    document.on('error', reject);
  });
  for (const [index, language] of languages.entries()) {
    if (index > 0) document.addPage();
    const { title, sections } = describeReport(report, language);
    document.font('Helvetica-Bold').fontSize(16).text(title).moveDown(0.5);
    for (const { heading, paragraphs } of sections) {
      document.font('Helvetica-Bold').fontSize(11).text(heading).moveDown(0.2);
      document.font('Helvetica').fontSize(9);
      for (const paragraph of paragraphs) document.text(printable(paragraph)).moveDown(0.15);
      document.moveDown(0.6);
    }
  }
  document.end();
  return await done;
}

/** The fonts that every reader has know no more (WinAnsiEncoding); report.json holds what becomes a question mark. */
function printable(text: string): string {
  return text.replace(/[^\x20-\x7e\xa0-\xff€‚„…‘’“”–—]/gu, '?').slice(0, 2_000);
}
