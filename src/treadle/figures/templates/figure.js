"use strict";
// What makes figures answer to the pointer: the value under it, series to hide, a closer look, values as CSV.
for (const figure of document.querySelectorAll("figure.drawing")) {
  const picture = figure.querySelector(".picture");
  const svg = picture.querySelector("svg");
  const reading = picture.querySelector(".reading");
  const marks = JSON.parse(figure.querySelector(".marks").textContent);
  const whole = svg.viewBox.baseVal;
  const home = [whole.x, whole.y, whole.width, whole.height];
  let view = [...home];
  const hidden = new Set();

  const show = (box) => { view = box; svg.setAttribute("viewBox", box.join(" ")); };
  const at = (event) => {
    const box = svg.getBoundingClientRect();
    const scale = Math.min(box.width / view[2], box.height / view[3]);
    const left = box.left + (box.width - view[2] * scale) / 2, top = box.top + (box.height - view[3] * scale) / 2;
    return { x: view[0] + (event.clientX - left) / scale, y: view[1] + (event.clientY - top) / scale, scale };
  };

  svg.addEventListener("wheel", (event) => {
    if (!event.ctrlKey && !event.shiftKey) return; // the page is to scroll
    event.preventDefault();
    const point = at(event);
    const turn = event.deltaY || event.deltaX;
    const factor = Math.max(0.05, Math.min(1, (view[2] / home[2]) * (turn < 0 ? 0.8 : 1.25))) * home[2] / view[2];
    show(factor * view[2] >= home[2] ? [...home] : [
      point.x - (point.x - view[0]) * factor, point.y - (point.y - view[1]) * factor, view[2] * factor, view[3] * factor]);
  }, { passive: false });
  svg.addEventListener("dblclick", () => show([...home]));

  let drag = null;
  svg.addEventListener("pointerdown", (event) => { if (view[2] < home[2]) drag = { from: at(event), box: [...view] }; });
  addEventListener("pointerup", () => { drag = null; });

  svg.addEventListener("pointermove", (event) => {
    const point = at(event);
    if (drag) {
      show([view[0] - (point.x - drag.from.x), view[1] - (point.y - drag.from.y), view[2], view[3]]);
      return;
    }
    let best = null, nearest = 24 / point.scale;
    marks.forEach((series, number) => {
      if (hidden.has(number)) return;
      series.places.forEach(([x, y], index) => {
        const distance = Math.hypot(home[0] + x * home[2] - point.x, home[1] + y * home[3] - point.y);
        if (distance < nearest) { nearest = distance; best = { series, index }; }
      });
    });
    reading.hidden = best === null;
    if (best === null) return;
    const [x, y] = best.series.values[best.index];
    const axes = [[best.series.x, x], [best.series.y, y]].filter(([name]) => name); // one without a name has no scale
    reading.textContent = `${best.series.label}: ${axes.map(([name, value]) => `${name} ${value}`).join(", ")}`;
    const frame = picture.getBoundingClientRect();
    const left = event.clientX - frame.left + 12;
    reading.style.left = `${Math.max(0, Math.min(left, frame.width - reading.offsetWidth - 4))}px`;
    reading.style.top = `${Math.max(0, event.clientY - frame.top - 30)}px`;
  });
  svg.addEventListener("pointerleave", () => { reading.hidden = true; });

  const legend = figure.querySelector(".series");
  const labels = new Map();
  marks.forEach((series, number) => {
    const name = `${series.label}\n${series.colour}`;
    labels.set(name, [...(labels.get(name) || []), number]);
  });
  if (labels.size > 1 && labels.size <= 12) for (const numbers of labels.values()) {
    const series = marks[numbers[0]];
    const button = document.createElement("button");
    const spot = document.createElement("i");
    spot.style.background = series.colour;
    button.type = "button";
    button.title = legend.dataset.hint;
    button.setAttribute("aria-pressed", "true");
    button.append(spot, series.label);
    button.addEventListener("click", () => {
      const off = button.getAttribute("aria-pressed") === "true";
      button.setAttribute("aria-pressed", String(!off));
      for (const number of numbers) {
        off ? hidden.add(number) : hidden.delete(number);
        const drawn = svg.querySelector(`#series-${number}`);
        if (drawn) drawn.style.display = off ? "none" : "";
      }
    });
    legend.append(button);
  }

  for (const values of figure.querySelectorAll("details.values")) {
    values.querySelector(".csv").addEventListener("click", () => {
      const table = JSON.parse(values.querySelector(".all").textContent);
      const names = Object.keys(table.columns), columns = Object.values(table.columns);
      const cell = (value) => {
        const text = value === null ? "" : String(value);
        return /[",\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
      };
      const rows = [names, ...columns[0].map((_, row) => columns.map((column) => column[row]))];
      const link = document.createElement("a");
      link.href = URL.createObjectURL(new Blob(["\ufeff" + rows.map((row) => row.map(cell).join(",")).join("\n")],
        { type: "text/csv" }));
      link.download = `${table.name}.csv`;
      link.click();
      URL.revokeObjectURL(link.href);
    });
  }
}
