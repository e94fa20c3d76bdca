import type { Language } from './words.ts';

/** A page to print: A4, no script, nothing that is fetched. */
export interface Page {
  readonly language: Language;
  readonly title: string;
  /** Who, when, where, in order. */
  readonly facts: readonly (readonly [label: string, value: string])[];
  readonly sections: readonly Section[];
  /** Below all of it, a paragraph each. */
  readonly notes: readonly string[];
}

interface Section {
  readonly heading: string;
  readonly head: readonly string[];
  /** As the head; the columns named by `numbers` are set right. */
  readonly rows: readonly (readonly string[])[];
  readonly numbers: readonly number[];
  /** The last row, as the head. */
  readonly total?: readonly string[];
}

const STYLE = `
@page { size: A4; margin: 16mm 14mm }
* { box-sizing: border-box }
body { font: 10pt/1.45 system-ui, "Noto Sans", "Noto Sans CJK SC", "Microsoft YaHei", sans-serif; color: #1a1a1a; background: #fff; max-width: 182mm; margin: 0 auto; padding: 8mm 0 }
h1 { font-size: 18pt; margin: 0 0 5mm }
h2 { font-size: 11.5pt; margin: 7mm 0 2mm }
dl { display: grid; grid-template-columns: max-content 1fr; gap: 1mm 6mm; margin: 0 }
dt { color: #555 } dd { margin: 0; overflow-wrap: anywhere }
table { width: 100%; border-collapse: collapse }
thead { display: table-header-group }
tr { break-inside: avoid }
th, td { text-align: left; vertical-align: top; padding: 1.4mm 2mm; border-bottom: 0.2mm solid #ccc; overflow-wrap: anywhere }
th { font-weight: 600; border-bottom-color: #444 }
.n { text-align: right; white-space: nowrap; font-variant-numeric: tabular-nums }
tfoot td { font-weight: 600; border-top: 0.4mm solid #444; border-bottom: 0 }
.notes { color: #555; font-size: 9pt; margin-top: 7mm }
@media screen { body { padding: 12mm } }`;

export function renderPage({ language, title, facts, sections, notes }: Page): string {
  const list = facts.map(([label, value]) => `<dt>${escaped(label)}</dt><dd>${escaped(value)}</dd>`).join('\n');
  return `<!doctype html>
<html lang="${escaped(language)}">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="content-security-policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>${escaped(title)}</title>
<style>${STYLE}
</style>
</head>
<body>
<h1>${escaped(title)}</h1>
<dl>
${list}
</dl>
${sections.map(renderSection).join('\n')}
<div class="notes">${notes.map((note) => `<p>${escaped(note)}</p>`).join('')}</div>
</body>
</html>
`;
}

function renderSection({ heading, head, rows, numbers, total }: Section): string {
  const cell = (tag: 'td' | 'th', text: string, i: number) =>
    `<${tag}${tag === 'th' ? ' scope="col"' : ''}${numbers.includes(i) ? ' class="n"' : ''}>${escaped(text)}</${tag}>`;
  const row = (tag: 'td' | 'th', texts: readonly string[]) =>
    `<tr>${texts.map((text, i) => cell(tag, text, i)).join('')}</tr>`;
  const foot = total === undefined ? '' : `\n<tfoot>${row('td', total)}</tfoot>`;
  return `<h2>${escaped(heading)}</h2>
<table>
<thead>${row('th', head)}</thead>
<tbody>
${rows.map((texts) => row('td', texts)).join('\n')}
</tbody>${foot}
</table>`;
}

/** Everything that is shown goes through here. */
function escaped(text: string): string {
  const signs: Readonly<Record<string, string>> = {
    '&': '&amp;',
    '<': '&lt;',
    '>': '&gt;',
    '"': '&quot;',
    "'": '&#39;',
  };
  return text.replace(/[&<>"']/g, (sign) => signs[sign]!);
}
