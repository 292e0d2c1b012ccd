/**
 * Line charts as SVG: linear or logarithmic axes, a legend, colours for light and dark pages and for colour-blind
 * readers, and a text description. Charts can be stacked vertically. Equal charts give equal text.
 *
 * @module
 */

/** One line of a chart. */
export interface Series {
  /** Its name in the legend. */
  readonly label: string;
  /** Its points as [x, y], in the order in which they are joined. Points outside the axes are omitted. */
  readonly points: readonly (readonly [number, number])[];
  /** True for a line that the others are compared with: grey, dashed or dotted, without markers. */
  readonly isReference?: boolean;
}

/** One axis of a chart. */
export interface Axis {
  /** The quantity with its unit. */
  readonly title: string;
  /** `linear` if not given; logarithmic axes allow values above 0 only. */
  readonly scale?: "linear" | "log2" | "log10";
  /** Formats a value; as 12, 3.5 k, 2 M if not given. */
  readonly format?: (value: number) => string;
}

/** One panel. */
export interface Chart {
  /** Its title, in one line. */
  readonly title: string;
  /** The conditions of the measurement, in one or two lines. */
  readonly subtitle?: string;
  /** The horizontal axis. */
  readonly x: Axis;
  /** The vertical axis. A linear one starts at 0. */
  readonly y: Axis;
  /** The lines; at most eight have distinct colours. */
  readonly series: readonly Series[];
}

/** An axis with its position in the picture. */
interface Scale {
  readonly axis: Axis;
  readonly low: number;
  readonly high: number;
  /** Positions of `low` and `high`, in pixels. */
  readonly from: number;
  readonly to: number;
  readonly ticks: readonly number[];
}

const WIDTH = 760;
const PLOT = { left: 92, right: WIDTH - 36, height: 270 } as const;
const LINE_HEIGHT = 20;
/** Estimated width of a character of the legend, in pixels, as the reader's fonts are unknown. */
const CHARACTER_WIDTH = 7.4;
const TICKS_MAX = 9;
/** Maximum number of points of a line with markers. */
const MARKED_POINTS_MAX = 40;

/** Colours of lines on light and dark backgrounds, after Okabe and Ito. */
const COLOURS: readonly (readonly [string, string])[] = [
  ["#0067a8", "#58b4f0"],
  ["#c75000", "#ff9248"],
  ["#00805b", "#35cfa0"],
  ["#a9488b", "#ec9fd0"],
  ["#8a6d00", "#e8c53a"],
  ["#4f5b66", "#b4bec8"],
  ["#8a2be2", "#c29bff"],
  ["#b00020", "#ff8a93"],
];

const FONT = "system-ui, -apple-system, 'Segoe UI', 'Helvetica Neue', 'DejaVu Sans', sans-serif";

/** Styles for light backgrounds, and the differences for dark ones. */
function style(): string {
  const rules = (dark: boolean): string => {
    const [ground, text, faint, line] = dark
      ? ["#0d1117", "#e6edf3", "#9aa5b1", "#2b323b"]
      : ["#ffffff", "#1f2328", "#59636e", "#dfe3e8"];
    return [
      `.ground{fill:${ground}}.text{fill:${text}}.faint{fill:${faint}}.grid{stroke:${line}}.axis{stroke:${faint}}`,
      ...COLOURS.map((colours, i) => {
        const colour = colours[dark ? 1 : 0]!;
        return `.s${i}{stroke:${colour}}.m${i}{fill:${colour};stroke:${ground}}`;
      }),
    ].join("");
  };
  return `<style>text{font-family:${FONT};font-size:12px}.title{font-size:15px;font-weight:600}` +
    `.line{fill:none;stroke-width:2;stroke-linejoin:round;stroke-linecap:round}.mark{stroke-width:1}` +
    `${rules(false)}@media(prefers-color-scheme:dark){${rules(true)}}</style>`;
}

/** `text` escaped for XML. */
function escapeXml(text: string): string {
  const entities: Readonly<Record<string, string>> = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;" };
  // XML allows no control characters.
  // deno-lint-ignore no-control-regex
  return text.replace(/[\x00-\x08\x0b\x0c\x0e-\x1f]/g, "").replace(/[&<>"]/g, (found) => entities[found]!);
}

/** Formats `value` briefly: 0.25, 12, 3.5 k, 120 k, 2 M, 7.2 G. */
function shortNumber(value: number): string {
  const size = Math.abs(value);
  const [divisor, unit] = size >= 1e9 ? [1e9, " G"] : size >= 1e6 ? [1e6, " M"] : size >= 1e4 ? [1e3, " k"] : [1, ""];
  return `${Number((value / divisor).toPrecision(3))}${unit}`;
}

/** Formats `value` bytes as 64 B, 4 KiB, 1.5 MiB. */
export function shortBytes(value: number): string {
  const units = ["B", "KiB", "MiB", "GiB"];
  let unit = 0;
  for (; value >= 1024 && unit < units.length - 1; unit++) value /= 1024;
  return `${Number(value.toPrecision(3))} ${units[unit]}`;
}

/** Formats a coordinate with the precision of a display. */
function px(value: number): string {
  return String(Math.round(value * 10) / 10);
}

function isLog(axis: Axis): boolean {
  return axis.scale === "log2" || axis.scale === "log10";
}

function fits(axis: Axis, value: number): boolean {
  return Number.isFinite(value) && (!isLog(axis) || value > 0);
}

/** Every n-th of `values`, with the smallest n that leaves at most {@linkcode TICKS_MAX}. */
function thin(values: readonly number[]): number[] {
  const step = Math.ceil(values.length / TICKS_MAX);
  return values.filter((_, i) => i % step === 0);
}

function logTicks(base: number, low: number, high: number): number[] {
  const from = Math.ceil(Math.log(low) / Math.log(base) - 1e-9);
  const to = Math.floor(Math.log(high) / Math.log(base) + 1e-9);
  const powers = Array.from({ length: Math.max(0, to - from + 1) }, (_, i) => base ** (from + i));
  if (base === 2 || powers.length > 4) return thin(powers);
  // Few decades leave space for ticks in between.
  const between = [0.1, ...powers.map((power) => power * 0.1), ...powers, base ** to]
    .flatMap((power) => [power, 2 * power, 5 * power]);
  return [...new Set(between.map((value) => Number(value.toPrecision(3))))]
    .filter((value) => value >= low && value <= high).sort((a, b) => a - b);
}

function linearTicks(low: number, high: number): number[] {
  const rough = (high - low) / (TICKS_MAX - 3);
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((factor) => factor * power).find((candidate) => candidate >= rough)!;
  const count = Math.floor(high / step + 1e-9) - Math.ceil(low / step - 1e-9) + 1;
  const first = Math.ceil(low / step - 1e-9);
  return Array.from({ length: count }, (_, i) => Number(((first + i) * step).toPrecision(12)));
}

/** The ends of an axis for `values`; a vertical axis gets a margin. */
function ends(axis: Axis, values: readonly number[], isVertical: boolean): [number, number] {
  let low = values.reduce((a, b) => Math.min(a, b), Infinity);
  let high = values.reduce((a, b) => Math.max(a, b), -Infinity);
  if (values.length === 0) [low, high] = isLog(axis) ? [1, 10] : [0, 1];
  if (isLog(axis)) {
    if (isVertical) [low, high] = [low / 1.25, high * 1.25];
    return low < high ? [low, high] : [low / 2, high * 2];
  }
  if (isVertical) [low, high] = [Math.min(0, low * 1.05), Math.max(0, high * 1.05)];
  return low < high ? [low, high] : [low, low + 1];
}

/** A pair of coordinates or of ends, in pixels. */
type Point = readonly [number, number];

function makeScale(axis: Axis, values: readonly number[], isVertical: boolean, [from, to]: Point): Scale {
  const [low, high] = ends(axis, values, isVertical);
  let ticks = isLog(axis) ? logTicks(axis.scale === "log2" ? 2 : 10, low, high) : linearTicks(low, high);
  // Below a doubling or a decade, round numbers are more readable than powers.
  if (ticks.length < 3) ticks = linearTicks(low, high);
  return { axis, low, high, from, to, ticks };
}

/** The position of `value`, in pixels. */
function at({ axis, low, high, from, to }: Scale, value: number): number {
  const share = isLog(axis) ? Math.log(value / low) / Math.log(high / low) : (value - low) / (high - low);
  return from + share * (to - from);
}

function text([x, y]: Point, content: string, classes: string, attributes = ""): string {
  return `<text x="${px(x)}" y="${px(y)}" class="${classes}"${attributes}>${escapeXml(content)}</text>`;
}

function line([x1, y1]: Point, [x2, y2]: Point, classes: string): string {
  return `<line x1="${px(x1)}" y1="${px(y1)}" x2="${px(x2)}" y2="${px(y2)}" class="${classes}"/>`;
}

/** The marker that distinguishes line `index` from others without colour. */
function shape(index: number, x: number, y: number): string {
  const move = `M${px(x)} ${px(y)}`;
  // Lines with the same colour have different shapes.
  switch ((index + Math.floor(index / COLOURS.length)) % 4) {
    case 0:
      return `${move}m-4 0a4 4 0 1 0 8 0a4 4 0 1 0-8 0z`;
    case 1:
      return `${move}m-3.7-3.7h7.4v7.4h-7.4z`;
    case 2:
      return `${move}m0-4.8l4.8 8.4h-9.6z`;
    default:
      return `${move}m0-5l5 5l-5 5l-5-5z`;
  }
}

function stroke(index: number, isReference: boolean): string {
  if (!isReference) return `class="line s${index % COLOURS.length}"`;
  return `class="line axis" stroke-dasharray="${index % 2 === 0 ? "6 5" : "1 5"}"`;
}

function marker(index: number, x: number, y: number, title = ""): string {
  const words = title === "" ? "" : `<title>${escapeXml(title)}</title>`;
  return `<path d="${shape(index, x, y)}" class="mark m${index % COLOURS.length}">${words}</path>`;
}

/** Breaks `content` into lines of the plot's width. */
function wrap(content: string): string[] {
  const lines: string[] = [];
  for (const word of content.split(" ").filter((one) => one !== "")) {
    const longer = `${lines.at(-1) ?? ""} ${word}`;
    if (lines.length > 0 && longer.length * CHARACTER_WIDTH <= PLOT.right - PLOT.left) lines[lines.length - 1] = longer;
    else lines.push(word);
  }
  return lines;
}

/** Lays out the legend in lines of the plot's width; returns it and the number of lines. */
function legend(series: readonly Series[], top: number): { markup: string; lines: number } {
  const parts: string[] = [];
  let x: number = PLOT.left;
  let lines = series.length === 0 ? 0 : 1;
  for (const [i, { label, isReference = false }] of series.entries()) {
    const width = 46 + label.length * CHARACTER_WIDTH;
    if (x > PLOT.left && x + width > PLOT.right) {
      x = PLOT.left;
      lines++;
    }
    const y = top + (lines - 0.5) * LINE_HEIGHT;
    parts.push(
      `<path d="M${px(x)} ${px(y)}h24" ${stroke(i, isReference)}/>`,
      isReference ? "" : marker(i, x + 12, y),
      text([x + 30, y + 4], label, "text"),
    );
    x += width;
  }
  return { markup: parts.join(""), lines };
}

function axes(x: Scale, y: Scale): string {
  const bottom = y.from;
  const format = ({ axis }: Scale, value: number) => (axis.format ?? shortNumber)(value);
  const middle = (y.from + y.to) / 2;
  return [
    ...y.ticks.map((tick) =>
      line([x.from, at(y, tick)], [x.to, at(y, tick)], "grid") +
      text([x.from - 8, at(y, tick) + 4], format(y, tick), "faint", ' text-anchor="end"')
    ),
    ...x.ticks.map((tick) =>
      line([at(x, tick), bottom], [at(x, tick), bottom + 5], "axis") +
      text([at(x, tick), bottom + 20], format(x, tick), "faint", ' text-anchor="middle"')
    ),
    line([x.from, bottom], [x.to, bottom], "axis"),
    text([(x.from + x.to) / 2, bottom + 42], x.axis.title, "text", ' text-anchor="middle"'),
    text([18, middle], y.axis.title, "text", ` text-anchor="middle" transform="rotate(-90 18 ${px(middle)})"`),
  ].join("");
}

/** Line `index`: a path, and a marker with its values for each point. */
function drawSeries({ label, points, isReference = false }: Series, index: number, x: Scale, y: Scale): string {
  const drawn = points.filter(([px, py]) => fits(x.axis, px) && fits(y.axis, py));
  if (drawn.length === 0) return "";
  const d = drawn.map(([vx, vy], i) => `${i === 0 ? "M" : "L"}${px(at(x, vx))} ${px(at(y, vy))}`).join("");
  const path = `<path d="${d}" ${stroke(index, isReference)}/>`;
  if (isReference || drawn.length > MARKED_POINTS_MAX) return path;
  const [formatX, formatY] = [x.axis.format ?? shortNumber, y.axis.format ?? shortNumber];
  const marks = drawn.map(([vx, vy]) =>
    marker(index, at(x, vx), at(y, vy), `${label}: ${formatX(vx)}, ${formatY(vy)}`)
  );
  return path + marks.join("");
}

/** The text description of a chart for screen readers: every line with its ends. */
function describe({ title, subtitle, x, y, series }: Chart): string {
  const [formatX, formatY] = [x.format ?? shortNumber, y.format ?? shortNumber];
  const lines = series.map(({ label, points }) => {
    const drawn = points.filter(([px, py]) => fits(x, px) && fits(y, py));
    const [first, last] = [drawn[0], drawn.at(-1)];
    if (first === undefined || last === undefined) return `${label}: no points.`;
    return `${label}: from ${formatY(first[1])} at ${formatX(first[0])} to ${formatY(last[1])} at ${formatX(last[0])}.`;
  });
  return [`${title}${subtitle === undefined ? "" : ` (${subtitle})`}: ${y.title} by ${x.title}.`, ...lines].join(" ");
}

/** Draws `chart` from `top` on; returns it and its end. */
function panel(chart: Chart, top: number): { markup: string; bottom: number } {
  const { title, subtitle, series } = chart;
  let y = top + 30;
  const parts = [text([PLOT.left, y], title, "text title")];
  for (const words of wrap(subtitle ?? "")) parts.push(text([PLOT.left, y += LINE_HEIGHT], words, "faint"));
  const { markup, lines } = legend(series, y += 8);
  const plotTop = y + lines * LINE_HEIGHT + 10;
  const points = series.flatMap((one) => one.points).filter((p) => fits(chart.x, p[0]) && fits(chart.y, p[1]));
  const scaleX = makeScale(chart.x, points.map((point) => point[0]), false, [PLOT.left, PLOT.right]);
  const scaleY = makeScale(chart.y, points.map((point) => point[1]), true, [plotTop + PLOT.height, plotTop]);
  parts.push(markup, axes(scaleX, scaleY), ...series.map((one, i) => drawSeries(one, i, scaleX, scaleY)));
  return { markup: parts.join("\n"), bottom: plotTop + PLOT.height + 56 };
}

/** An SVG document with `charts` stacked vertically. */
export function drawCharts(charts: readonly Chart[]): string {
  const panels: string[] = [];
  let height = 0;
  for (const chart of charts) {
    const { markup, bottom } = panel(chart, height);
    panels.push(markup);
    height = bottom;
  }
  const size = `width="${WIDTH}" height="${height}" viewBox="0 0 ${WIDTH} ${height}"`;
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" ${size} role="img" aria-labelledby="title description">`,
    `<title id="title">${escapeXml(charts.map(({ title }) => title).join("; "))}</title>`,
    `<desc id="description">${escapeXml(charts.map(describe).join(" "))}</desc>`,
    style(),
    `<rect width="${WIDTH}" height="${height}" rx="6" class="ground"/>`,
    ...panels,
    "</svg>\n",
  ].join("\n");
}
