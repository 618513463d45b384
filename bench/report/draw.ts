/**
 * Panels of bars and of lines as SVG. ECharts draws them; this file decides how they look.
 *
 * The pictures are shown by pages that are light or dark, and cannot ask which: so each brings its own
 * background and turns dark by itself where the reader's system is. Colours of bars and lines are told
 * apart on both, and by people who do not see all colours (the set of Okabe and Ito).
 *
 * @module
 */

import type { CustomSeriesRenderItemAPI } from "echarts";
import { BarChart, CustomChart, LineChart } from "echarts/charts";
import { GridComponent, LegendComponent, TitleComponent } from "echarts/components";
import * as echarts from "echarts/core";
import { SVGRenderer } from "echarts/renderers";
import type { Spread } from "../support/results.ts";

const WIDTH = 880;
const FONT_SIZE = 12;
const FONT = "system-ui, -apple-system, 'Segoe UI', 'DejaVu Sans', sans-serif";

echarts.use([BarChart, CustomChart, LineChart]);
echarts.use([GridComponent, LegendComponent, TitleComponent, SVGRenderer]);

/** Of a letter, in ems: wide enough that no two texts touch, whichever font the reader has. */
const LETTER_EMS = 0.59;

// There is no page here to measure text on.
echarts.setPlatformAPI({
  measureText(text, font) {
    const size = Number(/(\d+)px/.exec(font ?? "")?.[1] ?? FONT_SIZE);
    return { width: text.length * size * LETTER_EMS };
  },
});

const INK = "#1f2328";
const FAINT_INK = "#59636e";
const RULE = "#d8dee4";
const PAPER = "#ffffff";

/** Of lines that are not Manifold's, in their order. */
const COLOURS = ["#e69f00", "#009e73", "#d55e00", "#cc79a7", "#8c959f"];
/** Of a subject's lines. */
const DASHES = ["solid", "dashed", "dotted"];
const SYMBOLS = ["circle", "rect", "triangle"];

/** By what stands behind a bar; lines of Manifold have the same colours. */
export type Tone = "own" | "ownOther" | "script" | "native";
const TONES: Record<Tone, string> = {
  own: "#0072b2",
  ownOther: "#56b4e9",
  script: "#98a1ab",
  native: "#c89211",
};

/** What changes in the dark, and to what. */
const IN_THE_DARK: Record<string, string> = {
  [INK]: "#e6edf3",
  [FAINT_INK]: "#9ea7b3",
  [RULE]: "#3d444d",
  [PAPER]: "#0d1117",
  [TONES.own]: "#3d9bdc",
  [TONES.ownOther]: "#a6d9f7",
};

export interface Bar extends Spread {
  readonly label: string;
  readonly tone: Tone;
}

export interface BarPanel {
  readonly title: string;
  /** How a figure is written. */
  readonly format: (value: number) => string;
  readonly bars: readonly Bar[];
}

export interface Line {
  readonly name: string;
  /** Lines of one subject have one colour, in all panels. */
  readonly subject: string;
  readonly tone: Tone;
  /** Which of the subject's lines it is: tells them apart by dashes and symbols. */
  readonly variant: number;
  readonly points: readonly (readonly [x: number, y: number])[];
}

export interface LinePanel {
  readonly title: string;
  readonly xName: string;
  /** Of the values of the x axis, which stand as far from each other, whatever they are. */
  readonly formatX: (value: number) => string;
  readonly formatY: (value: number) => string;
  readonly logarithmic: boolean;
  readonly lines: readonly Line[];
}

const COLUMNS = 2;
const GAP = 28;
const MARGIN = 16;
const TITLE_HEIGHT = 26;
const BAR_HEIGHT = 23;
const PANEL_WIDTH = (WIDTH - 2 * MARGIN - GAP) / COLUMNS;

/** Sits in every picture: the colours of the dark. */
function darkStyle(): string {
  const rules = Object.entries(IN_THE_DARK).flatMap(([light, dark]) => [
    `[fill="${light}"]{fill:${dark}}`,
    `[stroke="${light}"]{stroke:${dark}}`,
  ]);
  return `<style>@media (prefers-color-scheme:dark){${rules.join("")}}</style>`;
}

function render(option: echarts.EChartsCoreOption, panels: number, height: number): string {
  // A panel that is alone leaves no half empty.
  const width = panels === 1 ? PANEL_WIDTH + 2 * MARGIN : WIDTH;
  const chart = echarts.init(null, null, { renderer: "svg", ssr: true, width, height });
  try {
    chart.setOption({
      animation: false,
      backgroundColor: PAPER,
      textStyle: { fontFamily: FONT, color: INK },
      ...option,
    });
    return chart.renderToSVGString({ useViewBox: true }).replace(">", `>${darkStyle()}`) + "\n";
  } finally {
    chart.dispose();
  }
}

function panelTitle(text: string, left: number, top: number) {
  return { text, left, top, padding: 0, textStyle: { fontSize: 13, fontWeight: 600, color: INK } };
}

function textWidth(text: string): number {
  return text.length * FONT_SIZE * LETTER_EMS;
}

function panelLeft(index: number): number {
  return MARGIN + (index % COLUMNS) * (PANEL_WIDTH + GAP);
}

/** The bar's least and most as a thin line, and its figure at the end of that. */
function whisker(bar: Bar, index: number, figure: string, api: CustomSeriesRenderItemAPI) {
  const [from, y] = api.coord([bar.least, index]);
  const [to] = api.coord([bar.most, index]);
  return {
    type: "group",
    children: [
      { type: "line", shape: { x1: from, y1: y, x2: to, y2: y }, style: { stroke: INK } },
      {
        type: "text",
        x: to + 6,
        y,
        style: { text: figure, fill: INK, font: `${FONT_SIZE}px ${FONT}`, verticalAlign: "middle" },
      },
    ],
  };
}

/** Two panels a row, the best bar of each on top. */
export function drawBars(panels: readonly BarPanel[]): string {
  const grids: object[] = [];
  const titles: object[] = [];
  const xAxes: object[] = [];
  const yAxes: object[] = [];
  const series: object[] = [];
  const labels = panels.flatMap(({ bars }) => bars.map(({ label }) => textWidth(label)));
  const labelWidth = Math.max(...labels) + 10;
  let top = MARGIN;
  for (const [index, { title, bars, format }] of panels.entries()) {
    const height = bars.length * BAR_HEIGHT;
    grids.push({
      left: panelLeft(index) + labelWidth,
      top: top + TITLE_HEIGHT,
      width: PANEL_WIDTH - labelWidth,
      height,
      outerBoundsMode: "none",
    });
    titles.push(panelTitle(title, panelLeft(index), top));
    const most = Math.max(...bars.map((bar) => bar.most));
    // A quarter of the width is the figures'.
    xAxes.push({ gridIndex: index, type: "value", show: false, min: 0, max: most * 1.34 });
    yAxes.push({
      gridIndex: index,
      type: "category",
      inverse: true,
      data: bars.map(({ label }) => label),
      axisLine: { lineStyle: { color: RULE } },
      axisTick: { show: false },
      axisLabel: { color: INK, fontSize: FONT_SIZE, interval: 0 },
    });
    const common = { xAxisIndex: index, yAxisIndex: index, silent: true };
    series.push({
      ...common,
      type: "bar",
      barWidth: "62%",
      data: bars.map(({ median, tone }) => ({ value: median, itemStyle: { color: TONES[tone] } })),
    }, {
      ...common,
      type: "custom",
      z: 3,
      data: bars.map((bar, at) => [bar.median, at]),
      renderItem({ dataIndex }: { dataIndex: number }, api: CustomSeriesRenderItemAPI) {
        const bar = bars[dataIndex];
        return whisker(bar, dataIndex, format(bar.median), api);
      },
    });
    const isLast = index % COLUMNS === COLUMNS - 1 || index === panels.length - 1;
    if (isLast) {
      const row = panels.slice(index - index % COLUMNS, index + 1);
      const tallest = Math.max(...row.map(({ bars }) => bars.length)) * BAR_HEIGHT;
      top += TITLE_HEIGHT + tallest + GAP;
    }
  }
  const height = top - GAP + MARGIN;
  const option = { title: titles, grid: grids, xAxis: xAxes, yAxis: yAxes, series };
  return render(option, panels.length, height);
}

const PLOT_HEIGHT = 180;
const AXIS_WIDTH = 58;
const AXIS_HEIGHT = 48;
const LEGEND_ROW = 19;
const LEGEND_SYMBOL = 26;
const LEGEND_GAP = 14;

function isPeer({ tone }: Line): boolean {
  return tone === "script" || tone === "native";
}

/** How many rows a panel's legend takes. */
function legendRows(lines: readonly Line[]): number {
  let rows = 1;
  let left = PANEL_WIDTH;
  for (const { name } of lines) {
    const width = LEGEND_SYMBOL + 5 + textWidth(name) + LEGEND_GAP;
    if (width > left && left < PANEL_WIDTH) {
      rows++;
      left = PANEL_WIDTH;
    }
    left -= width;
  }
  return rows;
}

/** Panels beside each other, each under a legend of its own. */
export function drawLines(panels: readonly LinePanel[]): string {
  const peers = [
    ...new Set(panels.flatMap(({ lines }) => lines.filter(isPeer).map(({ subject }) => subject))),
  ];
  const legendHeight = Math.max(...panels.map(({ lines }) => legendRows(lines))) * LEGEND_ROW;
  const panelHeight = TITLE_HEIGHT + legendHeight + PLOT_HEIGHT + AXIS_HEIGHT;
  const topOf = (index: number) => MARGIN + Math.floor(index / COLUMNS) * (panelHeight + GAP);
  const faint = { color: FAINT_INK, fontSize: FONT_SIZE };
  const rows = Math.ceil(panels.length / COLUMNS);
  return render(
    {
      title: panels.map(({ title }, index) => panelTitle(title, panelLeft(index), topOf(index))),
      legend: panels.map(({ lines }, index) => ({
        top: topOf(index) + TITLE_HEIGHT - 6,
        left: panelLeft(index) - 4,
        width: PANEL_WIDTH,
        padding: 0,
        itemGap: LEGEND_GAP,
        itemWidth: LEGEND_SYMBOL,
        itemHeight: 9,
        data: lines.map(({ name }) => name),
        textStyle: { color: INK, fontSize: FONT_SIZE },
      })),
      grid: panels.map((_, index) => ({
        left: panelLeft(index) + AXIS_WIDTH,
        top: topOf(index) + TITLE_HEIGHT + legendHeight + 8,
        width: PANEL_WIDTH - AXIS_WIDTH - 12,
        height: PLOT_HEIGHT,
        outerBoundsMode: "none",
      })),
      xAxis: panels.map(({ xName, formatX, lines }, index) => {
        const values = lines.flatMap(({ points }) => points.map(([x]) => x));
        return {
          gridIndex: index,
          type: "category",
          data: [...new Set(values)].sort((a, b) => a - b).map(formatX),
          name: xName,
          nameLocation: "middle",
          nameGap: 26,
          nameTextStyle: faint,
          axisLabel: { ...faint, interval: 0 },
          axisLine: { lineStyle: { color: FAINT_INK } },
          axisTick: { alignWithLabel: true, lineStyle: { color: FAINT_INK } },
        };
      }),
      yAxis: panels.map(({ formatY, logarithmic }, index) => ({
        gridIndex: index,
        type: logarithmic ? "log" : "value",
        min: logarithmic ? undefined : 0,
        axisLabel: { ...faint, formatter: formatY },
        splitLine: { lineStyle: { color: RULE } },
        splitNumber: 4,
      })),
      series: panels.flatMap(({ lines, formatX }, index) =>
        lines.map((line) => {
          const { name, variant, points, subject, tone } = line;
          const color = isPeer(line)
            ? COLOURS[peers.indexOf(subject) % COLOURS.length]
            : TONES[tone];
          return {
            type: "line",
            name,
            silent: true,
            xAxisIndex: index,
            yAxisIndex: index,
            symbol: SYMBOLS[variant % SYMBOLS.length],
            symbolSize: 7,
            lineStyle: { color, width: 2, type: DASHES[variant % DASHES.length] },
            itemStyle: { color },
            data: points.map(([x, y]) => [formatX(x), y]),
          };
        })
      ),
    },
    panels.length,
    2 * MARGIN + rows * panelHeight + (rows - 1) * GAP,
  );
}
