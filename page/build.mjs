// Makes dist/ of src/: one page, one script, one style sheet, each also as gzip. `--check`: says whether dist/ is that.

import { build } from 'esbuild';
import { mkdir, readFile, readdir, rm, writeFile } from 'node:fs/promises';
import { gunzipSync, gzipSync } from 'node:zlib';

/** Of everything that a browser loads, not compressed. */
const BYTES_MAX = 300_000;
const at = (path) => new URL(path, import.meta.url);

async function made() {
  const { outputFiles } = await build({
    entryPoints: [at('src/main.ts').pathname], outdir: at('dist').pathname, entryNames: 'app', bundle: true,
    minify: true, write: false, format: 'esm', target: ['es2022', 'chrome120', 'firefox121', 'safari17.4'],
    legalComments: 'none', charset: 'utf8', logLevel: 'warning',
    banner: { js: '/* Tidewatch, Apache-2.0. Contains uPlot (MIT), https://github.com/leeoniya/uPlot */' },
  });
  const files = new Map(outputFiles.map((file) => [file.path.split('/').pop(), Buffer.from(file.contents)]));
  files.set('index.html', await readFile(at('src/index.html')));
  files.set('policy.txt', Buffer.from((await readFile(at('src/policy.txt'), 'utf8')).trim()));
  return files;
}

const files = await made();
const loaded = ['index.html', 'app.js', 'app.css'];
const sizes = loaded.map((name) => [name, files.get(name).length, gzipSync(files.get(name), { level: 9 }).length]);
const total = sizes.reduce((sum, [, size]) => sum + size, 0);
for (const [name, size, packed] of sizes) console.log(`${name}: ${size} bytes, ${packed} with gzip`);
console.log(`together ${total} bytes of at most ${BYTES_MAX}, ${sizes.reduce((sum, [, , packed]) => sum + packed, 0)} with gzip`);
if (total > BYTES_MAX) throw new Error(`the page is too large: ${total} bytes, at most ${BYTES_MAX}`);

if (process.argv.includes('--check')) {
  const wanted = [...files.keys(), ...loaded.map((name) => `${name}.gz`)].sort();
  const found = (await readdir(at('dist')).catch(() => [])).sort();
  const differ = wanted.join() === found.join() ? [] : [`dist/ has ${found.join(', ')}, expected ${wanted.join(', ')}`];
  for (const [name, content] of files) {
    const there = await readFile(at(`dist/${name}`)).catch(() => undefined);
    if (!there?.equals(content)) differ.push(`dist/${name} is not what src/ gives`);
    // Not the compressed bytes: they differ between versions of zlib.
    const packed = loaded.includes(name) ? await readFile(at(`dist/${name}.gz`)).catch(() => undefined) : undefined;
    if (loaded.includes(name) && !(packed && gunzipSync(packed).equals(content))) differ.push(`dist/${name}.gz is not dist/${name}`);
  }
  if (differ.length) throw new Error(`${differ.join('\n')}\n  hint: run page/build.sh and commit page/dist`);
  console.log('dist/ is what src/ gives');
} else {
  await rm(at('dist'), { recursive: true, force: true });
  await mkdir(at('dist'), { recursive: true });
  for (const [name, content] of files) {
    await writeFile(at(`dist/${name}`), content);
    if (loaded.includes(name)) await writeFile(at(`dist/${name}.gz`), gzipSync(content, { level: 9 }));
  }
}
