// Heat: partitions by time (or one row of them), coloured by how much waits. Drawn as pixels, so hundreds cost nothing.
import { colour } from "./spark.js";

// Messages that wait: where each colour begins. The last is the floor of an alarm, ten times over.
export const STEPS = [0, 1, 10, 100, 1000, 10000];
const level = (value) => {
  if (value === null || value === undefined) return -1;
  let found = 0;
  for (let step = 1; step < STEPS.length; step += 1) if (value >= STEPS[step]) found = step;
  return found;
};

let table = null;
const rgb = (name) => colour(name).match(/[\d.]+/g).slice(0, 3).map(Number);
export const recolour = () => {
  table = null;
};
const colours = () => {
  table ??= new Map([[-1, rgb("heat-none")], ...STEPS.map((_, index) => [index, rgb(`heat-${index}`)])]);
  return table;
};

// `columns` of equal length, one array of values a column; the canvas gets a pixel a value and is stretched by CSS.
export const paint = (canvas, columns) => {
  const width = Math.max(1, columns.length);
  const height = Math.max(1, columns[0]?.length ?? 1);
  if (canvas.width !== width || canvas.height !== height) [canvas.width, canvas.height] = [width, height];
  const context = canvas.getContext("2d");
  const image = context.createImageData(width, height);
  const known = colours();
  columns.forEach((column, x) => {
    column.forEach((value, y) => {
      const [r, g, b] = known.get(level(value));
      const at = 4 * (y * width + x);
      image.data[at] = r;
      image.data[at + 1] = g;
      image.data[at + 2] = b;
      image.data[at + 3] = 255;
    });
  });
  context.putImageData(image, 0, 0);
};
