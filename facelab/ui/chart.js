// Charts: plotly figures that are drawn once they are displayed, in a panel with a legend and quiet buttons in
// HTML, so that plotly's own bar is not needed. `widgets/chart.py` fills in the addresses of plotly's two scripts
// and its settings. Loaded once; each chart of the page calls `facelabChart`.

// The small script draws lines and bars; any other trace takes the large one. Each is fetched when it is needed.
const flLibraries = {};
window.facelabPlotly = (large) => {
  const name = large || flLibraries.large ? 'large' : 'small';
  flLibraries[name] ??= new Promise((done, fail) => {
    const script = Object.assign(document.createElement('script'), {src: LIBRARIES[name]});
    script.onload = () => done(window.Plotly);
    script.onerror = () => { delete flLibraries[name]; fail(new Error('a script of the charts did not come')); };
    document.head.append(script);
  });
  return flLibraries[name];
};
const FL_SMALL = ['scatter', 'bar'];
const flTab = new URLSearchParams(location.search).get('tab');
if (flTab && flTab !== 'start') {  // a chart will be needed: it is fetched while the page is built
  document.head.append(Object.assign(document.createElement('link'), {rel: 'preload', as: 'script', href: LIBRARIES.small}));
}

const flDashes = {dash: '6 3', dot: '2 2', dashdot: '6 2 2 2', longdash: '9 3', longdashdot: '9 2 2 2'};
const flSigns = {circle: '●', square: '■', diamond: '◆', cross: '✚', x: '✖', star: '★', 'triangle-up': '▲',
  'triangle-down': '▼', 'circle-open': '○', 'square-open': '□', 'diamond-open': '◇', 'triangle-up-open': '△'};
const flOne = (value) => (Array.isArray(value) || ArrayBuffer.isView(value) ? value[0] : value);
const flSwatch = (trace) => {
  const line = trace.line?.color ?? trace.marker?.color, color = flOne(trace.marker?.color ?? trace.fillcolor ?? line);
  if (trace.type.startsWith('scatter') && trace.mode?.includes('lines')) {
    return `<svg width="26" height="10" aria-hidden="true"><line x1="0" x2="26" y1="5" y2="5" stroke="${flOne(line)}"
      stroke-width="3" stroke-dasharray="${flDashes[trace.line?.dash] ?? ''}"/></svg>`;
  }
  if (trace.type.startsWith('scatter')) {
    return `<span aria-hidden="true" style="color:${color}">${flSigns[flOne(trace.marker?.symbol)] ?? '●'}</span>`;
  }
  const shape = flOne(trace.marker?.pattern?.shape);
  const hatch = shape ? `background-image:repeating-linear-gradient(${shape === '\\' ? 45 : 135}deg,
    rgba(255,255,255,.85) 0 2px,transparent 2px 5px);` : '';
  return `<span class="fl-swatch" aria-hidden="true" style="background-color:${color};${hatch}"></span>`;
};
const flNamed = (trace) => !flNameless(trace) && trace.showlegend !== false && trace.visible !== false;
const flLegend = (plot, legend, shown) => {
  const groups = new Map();
  for (const trace of shown ? plot._fullData : []) {
    if (flNamed(trace) && !groups.has(trace.name)) groups.set(trace.name, flSwatch(trace));
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
    plot.library.restyle(plot, {visible: on ? true : 'legendonly'}, same);
  }));
};

const flCss = (name) => getComputedStyle(document.body).getPropertyValue(name).trim();
// What the figure keeps for plotly's own title, legend and bar is given back to the plot.
const flFrame = (layout, count) => {
  const legendShown = layout.showlegend ?? count > 1, margin = {t: 100, ...layout.margin};
  const above = (layout.annotations ?? []).filter((note) => note.visible !== false && (note.y ?? 0) >= 1
    && /paper|domain/.test(note.yref ?? ''));
  const top = Math.min(margin.t, layout.xaxis?.side === 'top' ? margin.t : above.length ? 46 : 12);
  if (layout.height) layout.height -= margin.t - top;
  layout.margin = {...layout.margin, t: top};
  layout.showlegend = false;
  if (matchMedia('(pointer: coarse)').matches) {  // a finger scrolls the page
    layout.dragmode = false;
    for (const key of Object.keys(layout).filter((name) => /^[xy]axis/.test(name))) layout[key].fixedrange = true;
  }
  return legendShown;
};
const flTheme = (layout) => {
  const axis = {gridcolor: flCss('--border-color-primary'), linecolor: flCss('--border-color-primary')};
  layout.paper_bgcolor = layout.plot_bgcolor = 'rgba(0,0,0,0)';
  layout.font = {...layout.font, color: flCss('--body-text-color'), family: flCss('--font')};
  for (const key of Object.keys(layout).filter((key) => /^[xy]axis/.test(key))) {
    layout[key] = {...axis, ...layout[key]};
  }
  for (const scene of Object.keys(layout).filter((key) => /^scene/.test(key))) {
    for (const side of ['xaxis', 'yaxis', 'zaxis']) layout[scene][side] = {...axis, ...layout[scene][side]};
  }
};
// Whether an axis shows a stretch in which no trace has anything.
const flEmpty = (plot) => Object.keys(plot._fullLayout).filter((key) => /^[xy]axis/.test(key)).some((key) => {
  const axis = plot._fullLayout[key], [low, high] = axis.range.map(axis.r2l).sort((a, b) => a - b);
  const all = plot._fullData.map((trace) => trace.visible === true && trace._extremes?.[axis._id]).filter(Boolean);
  return all.length > 0 && !all.some(({min, max}) => min.some(({val}) => val <= high) && max.some(({val}) => val >= low));
});
window.facelabChart = (element, props, watch) => {
  const plot = element.querySelector('.facelab-chart'), panel = plot.closest('.fl-chart');
  const tools = panel.querySelector('.fl-chart-tools'), table = panel.querySelector('.fl-chart-table'), legend = panel.querySelector('.fl-legend');
  const heading = panel.querySelector('.fl-chart-title'), title = heading.textContent;
  const label = plot.getAttribute('aria-label');
  let seen = false, turns = 0;  // of the reset button: plotly forgets zoom and camera when its revision changes

  const reset = () => { turns += 1; draw(); };
  const read = async () => JSON.parse(/^later:/.test(props.value) ? await facelabLater(props.value.slice(6)) : props.value);
  const draw = async () => {
    const value = props.value;
    plot.style.display = panel.style.display = value ? '' : 'none';
    if (!value) {
      plot.library?.purge(plot);
      plot.library = null;
    }
    if (!value || !seen) return;
    let figure, library;
    try {
      figure = await read();
      library = await facelabPlotly(figure.data.some(({type}) => !FL_SMALL.includes(type ?? 'scatter')));
    } catch {
      plot.textContent = 'This chart did not come; load the page again.';
      return;
    }
    const layout = figure.layout;
    if (props.value !== value) return;  // a newer figure has come meanwhile
    // With a <base>, Plotly names its patterns by the page's whole address, and links.py changes that address.
    document.querySelector('base[href="./"]')?.remove();
    if (plot.library && plot.library !== library) {
      plot.library.purge(plot);
      plot.library = null;
    }
    flTheme(layout);
    const frame = figure.frames?.[Math.min(plot.frame ?? Infinity, figure.frames.length - 1)];
    frame?.data.forEach((change, i) => Object.assign(figure.data[i], change));
    Object.assign(layout, frame?.layout);
    const words = layout.title?.text ?? layout.title;  // the figure's own title says which network or epoch
    heading.textContent = (typeof words === 'string' && words.replace(/<[^>]*>/g, ' ')) || title;
    delete layout.title;
    layout.uirevision = `${layout.uirevision ?? ''} ${turns}`;
    const legendShown = flFrame(layout, figure.data.length);
    layout.autosize = true;
    plot.style.height = layout.height ? `${layout.height}px` : '';  // a resize takes the element's
    const first = !plot.library;
    if (first) plot.textContent = '';
    plot.library = library;
    await library.react(plot, figure.data, layout, CONFIG);
    if (first) plot.on('plotly_relayout', () => flEmpty(plot) && reset());
    flLegend(plot, legend, legendShown);
    plot.setAttribute('aria-label', facelabSentence(plot, words ? `${label}: ${heading.textContent}` : label));
    if (!table.hidden) facelabTable(plot, table, heading.textContent);
    plot.dispatchEvent(new CustomEvent('drawn', {bubbles: true}));
  };

  const save = (href, kind) => {
    const link = document.createElement('a');
    link.href = href;
    link.download = `${title.toLowerCase().replace(/\W+/g, '-').slice(0, 60)}.${kind}`;
    link.click();
  };
  const picture = async (kind) => {
    const {data, library, layout: {font}} = plot, box = plot.getBoundingClientRect();  // as they are when pressed
    const {layout} = await read();
    Object.assign(layout, {paper_bgcolor: flCss('--background-fill-primary') || '#fff', plot_bgcolor: 'rgba(0,0,0,0)', font});
    save(await library.toImage({data, layout}, {format: kind, width: box.width, height: box.height + 60, scale: 2}), kind);
  };
  tools.addEventListener('click', (event) => {
    const what = event.target.dataset.do;
    if (!plot._fullData) return;  // it is not drawn yet
    if (what === 'table') {
      table.hidden = !table.hidden;
      event.target.setAttribute('aria-expanded', String(!table.hidden));
      if (!table.hidden) facelabTable(plot, table, heading.textContent);
    }
    if (what === 'reset') reset();
    if (what === 'csv') {
      const text = flRows(plot).map((row) => row.map(flCell).join(',')).join('\n');
      save(URL.createObjectURL(new Blob([text], {type: 'text/csv'})), 'csv');
    }
    if (what === 'png' || what === 'svg') picture(what);
  });

  plot.addEventListener('frame', (event) => { plot.frame = event.detail; draw(); });
  watch('value', draw);
  new MutationObserver(draw).observe(document.body, {attributes: true, attributeFilter: ['class']});
  new ResizeObserver(() => plot.data && plot.offsetParent && plot.library.Plots.resize(plot)).observe(plot);
  draw();  // a chart without a figure is hidden
  facelabShown(panel, () => {
    seen = true;
    const turn = () => new Promise((next) => setTimeout(next));  // the page is painted between two charts
    window.facelabCharts = (window.facelabCharts ?? Promise.resolve()).then(draw, draw).then(turn);
  });
  return plot;
};
