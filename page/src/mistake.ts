// Where in a query the mistake is. Pure.

export interface Mistake {
  /** Offset in the text; undefined when the server names no place. */
  at?: number;
  /** From 1. */
  line?: number;
  column?: number;
  /** The line of the query. */
  text?: string;
  message: string;
}

/** The parser says `at Line: 1, Column: 45`; a name that is unknown can be looked for. */
export function locate(query: string, message: string): Mistake {
  const said = message.replace(/^ParserError\("([\s\S]*)"\)$/, '$1').replaceAll('\\"', '"');
  const place = / ?at Line: (\d+), Column: (\d+)/.exec(said);
  if (place) {
    const [line, column] = [Number(place[1]), Number(place[2])];
    const lines = query.split('\n');
    const before = lines.slice(0, line - 1).reduce((sum, one) => sum + one.length + 1, 0);
    return { at: Math.min(before + column - 1, query.length), line, column, text: lines[line - 1] ?? '', message: said.replace(place[0], '') };
  }
  const name = /No field named "?(\w+(?:\.\w+)*)"?|table '?(?:[\w]+\.)*(\w+)'? not found|Invalid function '?(\w+)'?/i.exec(said);
  const wanted = name?.[1] ?? name?.[2] ?? name?.[3];
  if (wanted) {
    const at = query.search(new RegExp(`\\b${wanted.replaceAll('.', '\\.')}\\b`, 'i'));
    if (at >= 0) {
      const before = query.slice(0, at).split('\n');
      const line = before.length;
      return { at, line, column: (before.at(-1)?.length ?? 0) + 1, text: query.split('\n')[line - 1] ?? '', message: said };
    }
  }
  return { message: said };
}
