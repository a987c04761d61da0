// Reads the plain HTML of our own pages: titles, forms, and where a page moves on to.

const ENTITIES = { amp: '&', lt: '<', gt: '>', quot: '"', apos: "'", nbsp: '\u00a0' };

function plain(text) {
  return text.replace(/&(#x[0-9a-f]+|#\d+|\w+);/gi, (whole, name) => {
    if (name[0] !== '#') return ENTITIES[name] ?? whole;
    const code = name[1].toLowerCase() === 'x' ? parseInt(name.slice(2), 16) : parseInt(name.slice(1), 10);
    return String.fromCodePoint(code);
  });
}

function attributes(tag) {
  const found = {};
  const inside = tag.replace(/^<\w+/, '').replace(/\/?>$/, '');
  for (const [, name, , double, single, bare] of inside.matchAll(/([\w-]+)(\s*=\s*(?:"([^"]*)"|'([^']*)'|([^\s"'>]+)))?/g)) {
    found[name.toLowerCase()] = plain(double ?? single ?? bare ?? '');
  }
  return found;
}

function tags(html, name) {
  return [...html.matchAll(new RegExp(`<${name}\\b[^>]*>`, 'gi'))].map(([tag]) => attributes(tag));
}

/** What a person reads. */
export function words(html) {
  const body = html.replace(/<(style|script|head)\b[\s\S]*?<\/\1>/gi, ' ').replace(/<[^>]+>/g, ' ');
  return plain(body).replace(/\s+/g, ' ').trim();
}

/** All forms: where they go, what they send unless changed, and their buttons. */
export function forms(html) {
  return [...html.matchAll(/<form\b[^>]*>[\s\S]*?<\/form>/gi)].map(([text]) => {
    const own = attributes(text.match(/^<form\b[^>]*>/i)[0]);
    const inputs = tags(text, 'input').filter(({ name }) => name);
    const sent = inputs.filter(({ type, checked }) => !['checkbox', 'radio', 'submit'].includes(type) || checked !== undefined);
    const buttons = [...text.matchAll(/(<button\b[^>]*>)([\s\S]*?)<\/button>/gi)].map(([, tag, label]) => ({
      ...attributes(tag),
      label: words(label),
    }));
    return {
      action: own.action ?? '',
      method: (own.method ?? 'get').toUpperCase(),
      fields: sent.map(({ name, value = '', type = 'text' }) => ({ name, value, type })),
      buttons,
    };
  });
}

/** The target of `<meta http-equiv="refresh">`, if there is one. */
export function movesTo(html) {
  const meta = tags(html, 'meta').find((one) => one['http-equiv']?.toLowerCase() === 'refresh');
  return meta?.content.match(/^\s*\d+\s*[;,]\s*url\s*=\s*['"]?(.*?)['"]?\s*$/i)?.[1];
}
