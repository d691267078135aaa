// The panel around a chart: legend and quiet buttons in HTML, so that plotly's own bar is not needed. Part of
// each chart's script (widgets/chart.py), where `plot` is its element and `draw` draws it anew.

const panel = plot.closest('.fl-chart'), tools = panel.querySelector('.fl-chart-tools');
const legend = panel.querySelector('.fl-legend'), heading = panel.querySelector('.fl-chart-title');
const title = heading.textContent;
const DASHES = {dash: '6 3', dot: '2 2', dashdot: '6 2 2 2', longdash: '9 3', longdashdot: '9 2 2 2'};
const SIGNS = {circle: '●', square: '■', diamond: '◆', cross: '✚', x: '✖', star: '★', 'triangle-up': '▲',
  'triangle-down': '▼', 'circle-open': '○', 'square-open': '□', 'diamond-open': '◇', 'triangle-up-open': '△'};
let turns = 0;  // of the reset button: plotly forgets zoom and camera when its revision changes

const one = (value) => (Array.isArray(value) || ArrayBuffer.isView(value) ? value[0] : value);
const swatch = (trace) => {
  const line = trace.line?.color ?? trace.marker?.color, color = one(trace.marker?.color ?? trace.fillcolor ?? line);
  if (trace.type.startsWith('scatter') && trace.mode?.includes('lines')) {
    return `<svg width="26" height="10" aria-hidden="true"><line x1="0" x2="26" y1="5" y2="5" stroke="${one(line)}"
      stroke-width="3" stroke-dasharray="${DASHES[trace.line?.dash] ?? ''}"/></svg>`;
  }
  if (trace.type.startsWith('scatter')) {
    return `<span aria-hidden="true" style="color:${color}">${SIGNS[one(trace.marker?.symbol)] ?? '●'}</span>`;
  }
  const shape = one(trace.marker?.pattern?.shape);
  const hatch = shape ? `background-image:repeating-linear-gradient(${shape === '\\' ? 45 : 135}deg,
    rgba(255,255,255,.85) 0 2px,transparent 2px 5px);` : '';
  return `<span class="fl-swatch" aria-hidden="true" style="background-color:${color};${hatch}"></span>`;
};
const named = (trace) => trace.name && trace.showlegend !== false && trace.visible !== false && !/^trace \d+$/.test(trace.name);
const writeLegend = (shown) => {
  const groups = new Map();
  for (const trace of shown ? plot._fullData : []) {
    if (named(trace) && !groups.has(trace.name)) groups.set(trace.name, swatch(trace));
  }
  const html = [...groups].map(([name, mark]) =>
    `<button type="button" aria-pressed="true" title="Show or hide">${mark} <span></span></button>`).join('');
  if (legend.dataset.html === html + [...groups.keys()]) return;
  legend.dataset.html = html + [...groups.keys()];
  legend.innerHTML = html;
  [...groups.keys()].forEach((name, i) => { legend.children[i].lastElementChild.innerHTML = name; });
  [...legend.children].forEach((button, i) => button.addEventListener('click', () => {
    const on = button.getAttribute('aria-pressed') === 'false', name = [...groups.keys()][i];
    const same = plot.data.flatMap((trace, at) => (plot._fullData[at].name === name ? [at] : []));
    button.setAttribute('aria-pressed', String(on));
    Plotly.restyle(plot, {visible: on ? true : 'legendonly'}, same);
  }));
};

// What the figure keeps for plotly's own title, legend and bar is given back to the plot.
const frameOf = (layout, count) => {
  const legendShown = layout.showlegend ?? count > 1, margin = {t: 100, ...layout.margin};
  const above = (layout.annotations ?? []).filter((note) => note.visible !== false && (note.y ?? 0) >= 1
    && /paper|domain/.test(note.yref ?? ''));
  const top = Math.min(margin.t, layout.xaxis?.side === 'top' ? margin.t : above.length ? 46 : 12);
  if (layout.height) layout.height -= margin.t - top;
  layout.margin = {...layout.margin, t: top};
  layout.showlegend = false;
  const words = layout.title?.text ?? layout.title;  // the figure's own title says which network or epoch
  heading.textContent = (typeof words === 'string' && words.replace(/<[^>]*>/g, ' ')) || title;
  delete layout.title;
  layout.uirevision = `${layout.uirevision ?? ''} ${turns}`;
  if (matchMedia('(pointer: coarse)').matches) {  // a finger scrolls the page
    layout.dragmode = false;
    for (const key of Object.keys(layout).filter((name) => /^[xy]axis/.test(name))) layout[key].fixedrange = true;
  }
  return legendShown;
};

const cell = (value) => (/[",\n]/.test(value) ? `"${String(value).replaceAll('"', '""')}"` : value ?? '');
const table = () => {
  const rows = [['trace', 'x', 'y', 'z']];
  for (const trace of plot._fullData) {
    const [x, y, z] = ['x', 'y', 'z'].map((axis) => [...(trace[axis] ?? trace[{x: 'r', y: 'theta'}[axis]] ?? [])]);
    if (Array.isArray(z[0]) || ArrayBuffer.isView(z[0])) {
      z.forEach((row, i) => [...row].forEach((value, j) => rows.push([trace.name, x[j] ?? j, y[i] ?? i, value])));
    } else {
      for (let i = 0; i < Math.max(x.length, y.length); i++) rows.push([trace.name, x[i], y[i], z[i]]);
    }
  }
  return rows.map((row) => row.map(cell).join(',')).join('\n');
};
const save = (href, kind) => {
  const link = document.createElement('a');
  link.href = href;
  link.download = `${title.toLowerCase().replace(/\W+/g, '-').slice(0, 60)}.${kind}`;
  link.click();
};
const picture = async (kind) => {
  const figure = JSON.parse(props.value), box = plot.getBoundingClientRect();
  const layout = {...figure.layout, paper_bgcolor: css('--background-fill-primary') || '#fff',
    plot_bgcolor: 'rgba(0,0,0,0)', font: plot.layout.font};
  save(await Plotly.toImage({data: plot.data, layout}, {format: kind, width: box.width, height: box.height + 60,
    scale: 2}), kind);
};
tools.addEventListener('click', (event) => {
  const what = event.target.dataset.do;
  if (what === 'reset') { turns += 1; draw(); }
  if (what === 'csv') save(URL.createObjectURL(new Blob([table()], {type: 'text/csv'})), 'csv');
  if (what === 'png' || what === 'svg') picture(what);
});
