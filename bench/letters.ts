/** Mails as offices exchange them, the same in every run: of about the size asked for, some with an attachment. */

const words =
  'Antrag Bescheid Frist Unterlagen Vorgang Grundstück Bauvorhaben Genehmigung Anhörung Stellungnahme Gebühr Rechnung Termin Sitzung Ausschuss Gemeinde Landkreis Verwaltung Abteilung Sachbearbeitung Anlage Kopie Original Vollmacht Widerspruch Verfahren Entscheidung Begründung Rechtsbehelf Auskunft Bitte teilen Sie uns mit ob die genannten Angaben vollständig sind und wir mit der Bearbeitung beginnen können Für Rückfragen stehen wir gern zur Verfügung Mit freundlichen Grüßen'.split(
    ' ',
  );

/** One mail in so many is about this: header searches find it. */
export const RARE_SUBJECT = { word: 'Denkmalschutz', every: 100 };
/** And one in so many holds this word in its text. */
export const RARE_WORD = { word: 'Fledermausquartier', every: 200 };

/** Repeatable: a linear congruential generator (Numerical Recipes). */
function numbers(seed: number): (below: number) => number {
  let state = seed >>> 0;
  return (below) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}

/** Mail number `n`, about `size` bytes. */
export function letter(n: number, size: number): Buffer {
  const pick = numbers(n + 1);
  const word = () => words[pick(words.length)]!;
  const boundary = `=_${n}_${pick(1e9)}`;
  const mixed = n % 5 === 0;
  const subject = n % RARE_SUBJECT.every === 0 ? RARE_SUBJECT.word : `${word()} ${word()}`;
  const person = pick(5000);
  const day = 1 + pick(28);
  const header = [
    `Received: from mail.buerger${person % 40}.example (mail.buerger${person % 40}.example [192.0.2.${person % 250}])`,
    `\tby mx.stadt.example with ESMTPS id ${pick(1e9).toString(36)} for <amt@stadt.example>; Mon, ${day} Nov 2026 10:00:00 +0100`,
    `From: =?UTF-8?Q?B=C3=BCrger_${person}?= <buerger${person}@buerger${person % 40}.example>`,
    `To: Amt ${pick(50)} <amt${pick(50)}@stadt.example>, Poststelle <poststelle@stadt.example>`,
    `Subject: ${subject} ${pick(100_000)}/2026`,
    `Date: Mon, ${String(day).padStart(2, '0')} Nov 2026 10:00:${String(n % 60).padStart(2, '0')} +0100`,
    `Message-ID: <${n}.${pick(1e9).toString(36)}@buerger${person % 40}.example>`,
    `References: <${n}.eins@stadt.example> <${n}.zwei@stadt.example>`,
    'MIME-Version: 1.0',
  ];
  const text = (bytes: number): string => {
    const lines: string[] = [];
    let length = 0;
    for (let i = 0; length < bytes; i++) {
      const line = `${n % RARE_WORD.every === 0 && i === 3 ? `${RARE_WORD.word} ` : ''}${Array.from({ length: 9 }, word).join(' ')}`;
      lines.push(line);
      length += Buffer.byteLength(line) + 2;
    }
    return lines.join('\r\n');
  };
  const plain = 'Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit';
  if (!mixed) return Buffer.from(`${header.join('\r\n')}\r\n${plain}\r\n\r\n${text(size - 1000)}\r\n`);
  const binary = Buffer.alloc(size / 2, `Anlage ${n} `)
    .toString('base64')
    .replace(/.{76}/g, '$&\r\n');
  return Buffer.from(
    `${header.join('\r\n')}\r\nContent-Type: multipart/mixed; boundary="${boundary}"\r\n\r\n` +
      `--${boundary}\r\n${plain}\r\n\r\n${text(size / 4)}\r\n` +
      `--${boundary}\r\nContent-Type: application/pdf; name="Anlage ${n}.pdf"\r\nContent-Transfer-Encoding: base64\r\n` +
      `Content-Disposition: attachment; filename="Anlage ${n}.pdf"\r\n\r\n${binary}\r\n--${boundary}--\r\n`,
  );
}
