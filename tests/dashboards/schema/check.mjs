// Every dashboard is what @grafana/schema says a dashboard is: the whole, and the options and fields of each panel by
// its kind. Each JSON becomes a literal of TypeScript, so that a key that Grafana does not know is a mistake as well.
//
// usage: node check.mjs (after `npm ci`)

import { mkdirSync, readdirSync, readFileSync, rmSync } from "node:fs";
import path from "node:path";
import ts from "typescript";

const here = import.meta.dirname;
const json = path.join(here, "../../../deploy/grafana/json");

// Kind of panel: its module, and whether it has fields of its own.
const kinds = {
  stat: ["stat/panelcfg/x/StatPanelCfg_types.gen", false],
  gauge: ["gauge/panelcfg/x/GaugePanelCfg_types.gen", false],
  bargauge: ["bargauge/panelcfg/x/BarGaugePanelCfg_types.gen", false],
  timeseries: ["timeseries/panelcfg/x/TimeSeriesPanelCfg_types.gen", true],
  table: ["table/panelcfg/x/TablePanelCfg_types.gen", true],
  piechart: ["piechart/panelcfg/x/PieChartPanelCfg_types.gen", true],
  "state-timeline": ["statetimeline/panelcfg/x/StateTimelinePanelCfg_types.gen", true],
};

// JSON has the values of enums, not their names.
const prelude = `
import type { Dashboard, Panel } from "@grafana/schema";
type Loose<T> = 0 extends 1 & T ? T
  : unknown extends T ? T
  : T extends string ? \`\${T}\`
  : T extends number ? number
  : T extends boolean | null | undefined ? T
  : T extends (infer U)[] ? Loose<U>[]
  : T extends object ? { [K in keyof T]: Loose<T[K]> }
  : T;
`;

function* panelsOf(dashboard) {
  for (const panel of dashboard.panels) yield* panel.type === "row" ? panel.panels : [panel];
}

// What annotations of the Prometheus data source have beside what all annotations have; the package knows no plugin.
function plain(dashboard) {
  const list = dashboard.annotations.list.map((annotation) => {
    const { titleFormat, tagKeys, textFormat, useValueForTime, ...rest } = annotation;
    return rest.target ? { ...rest, target: { refId: rest.target.refId } } : rest;
  });
  return { ...dashboard, annotations: { list } };
}

const literal = (value) => JSON.stringify(value);
const alias = (kind) => kind.replaceAll("-", "_");

function sourceOf(dashboard) {
  const used = [...new Set([...panelsOf(dashboard)].map((panel) => panel.type))];
  const lines = [prelude];
  for (const kind of used) {
    if (!kinds[kind]) throw new Error(`the kind ${kind} is not known here`);
    lines.push(`import type * as ${alias(kind)} from "@grafana/schema/dist/esm/raw/composable/${kinds[kind][0]}";`);
  }
  lines.push(`export const dashboard: Loose<Dashboard> = ${literal(plain(dashboard))};`);
  for (const panel of panelsOf(dashboard)) {
    // A panel by itself: in the union of panels and rows a key of the wrong one passes.
    const { options, fieldConfig, ...rest } = panel;
    const { custom, ...defaults } = fieldConfig.defaults;
    lines.push(`// ${panel.title}`);
    lines.push(`export const panel${panel.id}: Loose<Omit<Panel, "options" | "fieldConfig">> = ${literal(rest)};`);
    lines.push(`export const options${panel.id}: Partial<Loose<${alias(panel.type)}.Options>> = ${literal(options)};`);
    const fields = { defaults, overrides: fieldConfig.overrides };
    lines.push(`export const fields${panel.id}: Loose<NonNullable<Panel["fieldConfig"]>> = ${literal(fields)};`);
    if (custom) {
      if (!kinds[panel.type][1]) throw new Error(`${panel.title}: ${panel.type} has no fields of its own`);
      lines.push(`export const custom${panel.id}: Partial<Loose<${alias(panel.type)}.FieldConfig>> = ${literal(custom)};`);
    }
  }
  return lines.join("\n");
}

const files = readdirSync(json, { recursive: true }).filter((name) => name.endsWith(".json"));
const made = path.join(here, "made");
rmSync(made, { recursive: true, force: true });
mkdirSync(made);
const sources = files.map((name) => {
  const file = path.join(made, name.replaceAll("/", "-").replace(/\.json$/, ".ts"));
  ts.sys.writeFile(file, sourceOf(JSON.parse(readFileSync(path.join(json, name), "utf8"))));
  return file;
});
const program = ts.createProgram(sources, {
  strict: true,
  noEmit: true,
  skipLibCheck: true,
  target: ts.ScriptTarget.ES2022,
  module: ts.ModuleKind.ESNext,
  moduleResolution: ts.ModuleResolutionKind.Bundler,
  types: [],
});
const wrong = ts.getPreEmitDiagnostics(program);
for (const diagnostic of wrong.slice(0, 50)) {
  const text = ts.flattenDiagnosticMessageText(diagnostic.messageText, "\n  ");
  const at = diagnostic.file?.getLineAndCharacterOfPosition(diagnostic.start);
  const near = diagnostic.file?.text.slice(diagnostic.start, diagnostic.start + 80).split("\n")[0];
  console.error(`${diagnostic.file ? path.basename(diagnostic.file.fileName) : ""}:${(at?.line ?? 0) + 1}: ${text}\n    ${near}`);
}
console.log(`${files.length} dashboards, ${wrong.length} mistakes`);
process.exit(wrong.length ? 1 : 0);
