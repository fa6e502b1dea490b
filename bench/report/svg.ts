/**
 * A plot as SVG text, through Vega-Lite, without a browser. The same plot gives the same bytes: nothing of the clock, of chance or
 * of the machine's fonts goes into it.
 */
import { parse, resetSVGDefIds, View, type Spec } from "vega";
import { compile, type TopLevelSpec } from "vega-lite";
import type { BenchPlot } from "../plot.ts";

const WIDTH = 560;
const HEIGHT = 280;
const BAR_HEIGHT = 28;
/** Okabe and Ito's colours, which people with colour blindness can tell apart, but for the yellow one. */
const colours = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000"];

export async function renderSvg(plot: BenchPlot): Promise<string> {
  const { spec } = compile(plot.mark === "bars" ? barSpec(plot) : lineSpec(plot));
  resetSVGDefIds();
  const view = new View(parse(spec as Spec), { renderer: "none" });
  try {
    return `${await view.toSVG()}\n`;
  } finally {
    view.finalize();
  }
}

function commonOf(plot: BenchPlot): Pick<TopLevelSpec, "title" | "background" | "config"> & { data: { values: object[] } } {
  return {
    title: { text: plot.title, anchor: "start", offset: 12 },
    background: "white",
    data: { values: [...plot.points] },
    config: { font: "sans-serif", view: { stroke: null }, range: { category: colours } },
  };
}

/** Bars lie, so that names can be read; each has its value at its end. */
function barSpec(plot: BenchPlot): TopLevelSpec {
  const names = [...new Set(plot.points.map(({ x }) => x))];
  return {
    ...commonOf(plot),
    width: WIDTH,
    height: names.length * BAR_HEIGHT,
    encoding: {
      y: { field: "x", type: "nominal", sort: null, title: plot.x.title === "" ? null : plot.x.title },
      x: { field: "y", type: "quantitative", title: plot.y.title, scale: { type: plot.y.log === true ? "log" : "linear" } },
    },
    layer: [
      {
        mark: { type: "bar", height: { band: 0.7 } },
        encoding: { color: { field: "series", type: "nominal", sort: null, legend: null } },
      },
      { mark: { type: "text", align: "left", dx: 4 }, encoding: { text: { field: "y", type: "quantitative", format: ",.3~r" } } },
    ],
  };
}

function lineSpec(plot: BenchPlot): TopLevelSpec {
  const isNamed = plot.points.some(({ x }) => typeof x === "string");
  const xScale = plot.x.log === true ? { type: "log" as const } : { type: "linear" as const, zero: false };
  return {
    ...commonOf(plot),
    width: WIDTH,
    height: HEIGHT,
    mark: { type: "line", point: { size: 50 } },
    encoding: {
      x: isNamed
        ? { field: "x", type: "nominal", sort: null, title: plot.x.title }
        : { field: "x", type: "quantitative", title: plot.x.title, scale: xScale, axis: axisOf(plot.x.log) },
      y: {
        field: "y",
        type: "quantitative",
        title: plot.y.title,
        scale: { type: plot.y.log === true ? "log" : "linear" },
        axis: axisOf(plot.y.log),
      },
      color: { field: "series", type: "nominal", sort: null, title: null },
      shape: { field: "series", type: "nominal", sort: null, title: null },
    },
  };
}

/** Only the powers of ten and their halves are named on a logarithmic axis. */
function axisOf(isLog: boolean | undefined): { format: string; values?: number[] } {
  if (isLog !== true) return { format: ",~g" };
  const values: number[] = [];
  for (let power = -3; power <= 9; power++) for (const step of [1, 2, 5]) values.push(step * 10 ** power);
  return { format: ",~r", values };
}
