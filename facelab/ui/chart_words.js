// A chart in words: its rows for a file and for a table, and the sentence that a screen reader says of it.

const flPlain = (text) => String(text ?? '').replace(/<[^>]*>/g, ' ').replace(/\s+/g, ' ').trim();
const flNumber = (value) => (typeof value === 'number' ? String(Number(value.toPrecision(4))) : flPlain(value));
const flCell = (value) => (/[",\n]/.test(value) ? `"${String(value).replaceAll('"', '""')}"` : value ?? '');
const flValues = (trace) => ['x', 'y', 'z'].map((axis) =>
  [...(trace[axis] ?? trace[{x: 'r', y: 'theta'}[axis]] ?? [])]);
const flRows = (plot) => {
  const rows = [['trace', 'x', 'y', 'z']];
  for (const trace of plot._fullData) {
    const [x, y, z] = flValues(trace);
    if (Array.isArray(z[0]) || ArrayBuffer.isView(z[0])) {
      z.forEach((row, i) => [...row].forEach((value, j) => rows.push([trace.name, x[j] ?? j, y[i] ?? i, value])));
    } else {
      for (let i = 0; i < Math.max(x.length, y.length); i++) rows.push([trace.name, x[i], y[i], z[i]]);
    }
  }
  return rows;
};

const flNameless = (trace) => !trace.name || /^trace \d+$/.test(trace.name);
// Each trace's course or highest bar, clouds of data points by their number, then what is written in the plot.
const flTrace = (trace) => {
  const [x, y, z] = flValues(trace), count = Math.max(x.length, y.length);
  const name = flNameless(trace) ? 'values' : flPlain(trace.name);
  if (!count && !z.length) return '';
  if (Array.isArray(z[0]) || ArrayBuffer.isView(z[0])) {
    const all = z.flatMap((row) => [...row]).filter(Number.isFinite);
    return all.length ? `${name} from ${flNumber(Math.min(...all))} to ${flNumber(Math.max(...all))}` : '';
  }
  if (trace.type === 'bar') {
    const [along, high] = trace.orientation === 'h' ? [y, x] : [x, y], top = high.indexOf(Math.max(...high));
    return top < 0 ? '' : `${name} highest at ${flNumber(along[top])}: ${flNumber(high[top])}`;
  }
  const point = (i) => `${flNumber(y[i])} at ${flNumber(x[i])}`;
  if (count === 1) return `${name} ${point(0)}`;
  return trace.mode?.includes('lines') ? `${name} from ${point(0)} to ${point(count - 1)}` : `${name}: ${count} data points`;
};
const MOST_TRACES = 6;
window.facelabSentence = (plot, title) => {
  const shown = plot._fullData.filter((trace) => trace.visible === true);
  const named = shown.every(flNameless) ? shown : shown.filter((trace) => !flNameless(trace));
  const said = named.map(flTrace).filter(Boolean);
  const points = named.reduce((sum, trace) => sum + (trace.x?.length ?? 0), 0);
  const traces = said.length > MOST_TRACES ? [`${said.length} groups, ${points} values`] : said;
  const notes = (plot._fullLayout.annotations ?? []).filter(({visible}) => visible !== false)
    .map(({text}) => flPlain(text)).filter((text) => /[\p{L}\d]/u.test(text)).slice(0, MOST_TRACES);
  const axes = ['xaxis', 'yaxis'].map((axis) => flPlain(plot._fullLayout[axis]?.title?.text))
    .filter((text) => text && !/^Click to enter/.test(text));
  return [title, axes.length === 2 && `${axes[1]} by ${axes[0]}`, traces.join('; '), notes.join('; ')]
    .filter(Boolean).map((part) => part.replace(/\.?$/, '.')).join(' ');
};

const MOST_ROWS = 500;
window.facelabTable = (plot, place, title) => {
  const [, ...rows] = flRows(plot), deep = rows.some((row) => row[3] !== undefined);
  const heads = ['xaxis', 'yaxis'].map((axis, i) => flPlain(plot._fullLayout[axis]?.title?.text).replace(/^Click to enter.*/, '')
    || 'xy'[i]);
  const table = document.createElement('table'), head = table.createTHead().insertRow();
  table.className = 'fl-table';
  table.createCaption().textContent = rows.length > MOST_ROWS
    ? `${title}: the first ${MOST_ROWS} of ${rows.length} rows; CSV has all.` : title;
  for (const text of ['series', ...heads, ...(deep ? ['z'] : [])]) {
    head.append(Object.assign(document.createElement('th'), {scope: 'col', textContent: text}));
  }
  const body = table.createTBody();
  for (const row of rows.slice(0, MOST_ROWS)) {
    const line = body.insertRow();
    for (const value of row.slice(0, deep ? 4 : 3)) line.insertCell().textContent = flNumber(value);
  }
  place.replaceChildren(table);
  place.setAttribute('aria-label', `Values: ${title}`);
};
