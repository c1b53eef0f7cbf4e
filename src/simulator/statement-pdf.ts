/**
 * The PDF beside the XML, with the same content: TR-01201 IO 3.4.1. In Courier, broken into lines and written as
 * text operators here: every glyph is 0.6 em wide, so nothing needs to be measured. Having it measured took longer
 * than all signatures of a confirmation together.
 */
import PDFDocument from 'pdfkit';
import { type Acknowledgement, dateTime, type Statement } from './confirmation-xml.ts';
import { unfoldedValue } from './header.ts';

/** Points. */
const margin = 56;
const page = { width: 595.28, height: 841.89 };

interface Line {
  readonly size: number;
  readonly text: string;
}

export function statementPdf(content: Statement | Acknowledgement): Promise<Buffer> {
  const document = new PDFDocument({
    size: 'A4',
    margin,
    font: 'Courier',
    info: { Title: printable(content.subject), CreationDate: content.time, ModDate: content.time },
  });
  const chunks: Buffer[] = [];
  const done = new Promise<Buffer>((resolve, reject) => {
    document.on('data', (chunk: Buffer) => chunks.push(chunk));
    document.on('end', () => resolve(Buffer.concat(chunks)));
    document.on('error', reject);
  });
  let y = margin;
  let operators: string[] = [];
  /** ISO 32000-1 9.4. A blank makes pdfkit give the page its font, F1; its page stands on its head. */
  const finishPage = () => {
    document.text(' ', margin, margin, { lineBreak: false });
    document.addContent(`q 1 0 0 -1 0 ${page.height} cm BT\n${operators.join('\n')}\nET Q`);
    operators = [];
  };
  for (const { size, text } of linesOf(content)) {
    y += 1.25 * size;
    if (y > page.height - margin) {
      finishPage();
      document.addPage();
      y = margin + 1.25 * size;
    }
    operators.push(
      `/F1 ${size} Tf 1 0 0 1 ${margin} ${(page.height - y).toFixed(2)} Tm <${winAnsi(text)}> Tj`,
    );
  }
  finishPage();
  document.end();
  return done;
}

function linesOf(content: Statement | Acknowledgement): Line[] {
  const write = (size: number, text: string) =>
    broken(printable(text), Math.floor((page.width - 2 * margin) / (0.6 * size))).map((line) => ({
      size,
      text: line,
    }));
  return [
    ...write(13, `${content.subject}\n\n`),
    ...write(9, `${content.text}\n\n`),
    ...write(9, `Aussteller (Sender): ${content.sender}\nZeitpunkt (Time): ${dateTime(content.time)}`),
    ...('metadata' in content ? acknowledged(content, write) : []),
  ];
}

function acknowledged(content: Acknowledgement, write: (size: number, text: string) => Line[]): Line[] {
  const { deliveryTime, hash, metadata } = content;
  return [
    ...(deliveryTime ? write(9, `Eingang im Postfach (DeliveryTime): ${dateTime(deliveryTime)}`) : []),
    ...write(9, `Prüfsumme (Hash): ${hash.replaceAll(/\r\n\s*/g, ' ')}\n\nMetadaten der Nachricht`),
    ...metadata.flatMap((field) => write(8, `${field.name}: ${unfoldedValue(field)}`)),
  ];
}

/** At spaces where there is one in the line, else in the middle of a word. */
function broken(text: string, columns: number): string[] {
  return text.split('\n').flatMap((paragraph) => {
    const lines: string[] = [];
    let rest = paragraph;
    while (rest.length > columns) {
      const space = rest.lastIndexOf(' ', columns);
      const end = space > 0 ? space : columns;
      lines.push(rest.slice(0, end));
      rest = rest.slice(space > 0 ? end + 1 : end);
    }
    return [...lines, rest];
  });
}

/** WinAnsiEncoding (ISO 32000-1 annex D) beyond Latin-1. */
const special: Readonly<Record<string, string>> = {
  '€': '\x80',
  '‚': '\x82',
  '„': '\x84',
  '…': '\x85',
  '‘': '\x91',
  '’': '\x92',
  '“': '\x93',
  '”': '\x94',
  '–': '\x96',
  '—': '\x97',
};

/** The built-in fonts know no more; without embedded fonts the rest becomes a question mark. */
function printable(text: string): string {
  return text.replace(/[^\n\x20-\x7e\xa0-\xff€‚„…‘’“”–—]/gu, '?');
}

function winAnsi(text: string): string {
  const latin1 = text.replace(/[€‚„…‘’“”–—]/g, (character) => special[character]!);
  return Buffer.from(latin1, 'latin1').toString('hex');
}
