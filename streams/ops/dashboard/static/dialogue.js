import { h } from "./dom.js";
export const draw = () => [h("h1", null, "dialogue")];
