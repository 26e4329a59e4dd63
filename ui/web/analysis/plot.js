// Runs once for each plot. Gradio provides element, props, trigger, watch and server.
const descriptions = new Map(); // hovered key -> promise of its caption and thumbnail
let Plotly; // the bundle of this plot, once it has been needed

// Two bundles may be on a page, and both are called Plotly there.
function load(source) {
  const loaded = (window.plotlyBundles ??= {});
  loaded[source] ??= new Promise((resolve, reject) => {
    const script = Object.assign(document.createElement('script'), {src: source});
    script.onload = () => resolve(window.Plotly);
    script.onerror = () => reject(new Error(`${source} cannot be loaded.`));
    document.head.append(script);
  });
  return loaded[source];
}

// A finger that is moved over a plot scrolls the page, until a tool of the plot is chosen.
const byFinger = matchMedia('(pointer: coarse)').matches;
const rowsShown = 200;

const colour = (name) => getComputedStyle(element).getPropertyValue(name).trim();

// The figure has the colours of a light page; they are replaced by the colours of this page.
function themed(layout) {
  const line = colour('--border-color-primary'), quiet = colour('--body-text-color-subdued');
  const themedAxis = (axis) => ({
    ...axis, gridcolor: line, linecolor: line, tickfont: {...axis.tickfont, color: quiet},
    title: {...axis.title, font: {...axis.title?.font, color: quiet}},
  });
  const axes = Object.keys(layout).filter((key) => /^[xy]axis\d*$/.test(key));
  return {
    ...layout,
    ...Object.fromEntries(['xaxis', 'yaxis', ...axes].map((key) => [key, themedAxis(layout[key] ?? {})])),
    font: {...layout.font, color: colour('--body-text-color')},
    hoverlabel: {bgcolor: colour('--background-fill-primary'), bordercolor: line, font: {color: colour('--body-text-color')}},
    autosize: true,
    ...(byFinger && {dragmode: false}),
    // Maps have equal scales on both axes: on a narrow page a high figure would be empty.
    height: props.value.meta.zoom ? Math.min(layout.height, Math.max(360, 1.15 * element.clientWidth)) : layout.height ?? 450,
  };
}

// A narrow page breaks the title into lines and puts the entries of the legend below each other: both need height.
function narrowed(layout, data) {
  const width = element.clientWidth;
  const title = layout.title?.text ?? '';
  const lines = title.split(' ').reduce(([last, ...others], word) =>
    (last + word).length * 8 > width ? [word, last, ...others] : [`${last} ${word}`.trim(), ...others], ['']);
  const above = (layout.legend?.yanchor ?? 'bottom') === 'bottom' && layout.showlegend !== false;
  const entries = above ? new Set(data.filter((trace) => trace.showlegend !== false).map((trace) => trace.name)).size : 0;
  const more = 18 * (lines.length - 1) + (width < 480 ? 20 * Math.max(0, entries - 1) : 0);
  return {
    ...layout,
    title: {...layout.title, text: lines.reverse().join('<br>'), pad: {l: 8, t: 10 + 9 * (lines.length - 1)}},
    margin: {...layout.margin, t: (layout.margin?.t ?? layout.template?.layout.margin.t ?? 76) + more},
    height: layout.height + more,
  };
}

async function draw() {
  const area = element.querySelector('.area');
  const value = props.value;
  const plot = element.querySelector('figure');
  plot.hidden = !value;
  plot.setAttribute('aria-busy', String(Boolean(value)));
  if (!value) return;
  plot.setAttribute('aria-label', value.caption);
  element.querySelector('.caption').textContent = value.caption;
  const {data, layout} = value.figure;
  const fitted = narrowed(themed(layout), data);
  area.style.minHeight = `${fitted.height}px`; // before the library is there, so that nothing moves later
  try {
    Plotly = await load(plot.dataset.library);
    if (props.value !== value) return; // a newer figure is being drawn
    await Plotly.react(area, data, fitted, {
      displaylogo: false, responsive: true, scrollZoom: Boolean(value.meta.zoom),
      modeBarButtons: [value.meta.zoom ? ['zoomIn2d', 'zoomOut2d', 'pan2d', 'select2d', 'lasso2d', 'resetScale2d'] : ['resetScale2d']],
    });
  } finally {
    if (props.value === value) plot.setAttribute('aria-busy', 'false');
  }
  fillTable();
  if (area.dataset.wired) return;
  area.dataset.wired = 'yes';
  for (const button of element.querySelectorAll('button[data-save]')) button.disabled = false;
  // Plotly takes a swipe that begins near a point for a click, although the page has scrolled.
  let touchedAt = null;
  area.addEventListener('touchstart', () => { touchedAt = scrollY; }, {capture: true, passive: true});
  area.addEventListener('mousedown', () => { touchedAt = null; }, true);
  const swiped = () => touchedAt !== null && Math.abs(scrollY - touchedAt) > 8;
  area.on('plotly_click', (event) => swiped() || select(event.points.slice(0, 1)));
  area.on('plotly_selected', (event) => event && event.points.length && select(event.points));
  area.on('plotly_hover', (event) => describe(event.points[0], event.event));
  area.on('plotly_unhover', () => element.querySelector('.tip')?.remove());
}

function select(points) {
  const keys = points.map((point) => point.customdata ?? null);
  trigger('select', {keys, x: points.map((point) => point.x)});
}

async function describe(point, at) {
  if (!server?.describe || point.customdata === undefined) return;
  const key = JSON.stringify([props.value.meta, point.customdata]);
  if (!descriptions.has(key)) descriptions.set(key, server.describe(JSON.parse(key)));
  element.querySelector('.tip')?.remove();
  const tip = document.createElement('div');
  tip.className = 'tip';
  element.querySelector('figure').append(tip);
  const described = await descriptions.get(key).catch(() => null);
  if (!described) { // the server is busy or gone: the next visit of the point asks again
    descriptions.delete(key);
    tip.remove();
    return;
  }
  const {caption, thumbnail} = described;
  if (thumbnail) tip.append(Object.assign(document.createElement('img'), {src: thumbnail, alt: ''}));
  tip.append(Object.assign(document.createElement('p'), {textContent: caption}));
  const frame = element.querySelector('figure').getBoundingClientRect();
  const x = at.clientX - frame.left, y = at.clientY - frame.top;
  tip.style.left = `${Math.max(0, Math.min(x + 14, frame.width - tip.offsetWidth))}px`;
  tip.style.top = `${y + 14 + tip.offsetHeight > frame.height ? Math.max(0, y - tip.offsetHeight - 14) : y + 14}px`;
}

// The points of all traces, as rows of the exported and of the shown table.
const columns = ['trace', 'x', 'y', 'low', 'high', 'text', 'key'];

function rows() {
  return element.querySelector('.area')._fullData.flatMap((trace) => {
    const error = trace.error_y?.visible ? trace.error_y : {};
    return Array.from(trace.x ?? [], (x, i) => {
      const y = trace.y[i];
      const cells = [trace.name, x, y, y - (error.arrayminus ?? error.array ?? [])[i], y + (error.array ?? [])[i]];
      const more = [trace.text, trace.customdata].map((list) => Array.isArray(list) ? list[i] : list);
      return [...cells, ...more].map((cell) => Number.isNaN(cell) ? '' : cell ?? '');
    });
  });
}

function csv() {
  const quoted = (value) => /[",\n]/.test(value) ? `"${value.replaceAll('"', '""')}"` : value;
  return [columns, ...rows()].map((row) => row.map((cell) => quoted(String(cell))).join(',')).join('\n');
}

// The table is filled when it is opened, without columns that are empty.
function fillTable() {
  const data = element.querySelector('details.data');
  const area = data.querySelector('.wide');
  area.replaceChildren();
  if (!data.open || !element.querySelector('.area')._fullData) return;
  const all = rows();
  const used = columns.map((name, i) => i).filter((i) => all.some((row) => row[i] !== ''));
  const make = (tag, ...children) => {
    const made = document.createElement(tag);
    made.append(...children);
    return made;
  };
  const shown = (cell) => typeof cell === 'number' ? String(Number(cell.toPrecision(4))) : String(cell);
  const body = all.slice(0, rowsShown).map((row) => make('tr', ...used.map((i) => {
    if (columns[i] !== 'key') return make('td', shown(row[i]));
    const button = Object.assign(make('button', `open ${row[i]}`), {type: 'button'});
    button.addEventListener('click', () => trigger('select', {keys: [row[i]], x: [row[1]]}));
    return make('td', button);
  })));
  const head = make('tr', ...used.map((i) => Object.assign(make('th', columns[i]), {scope: 'col'})));
  area.append(Object.assign(make('table', make('thead', head), make('tbody', ...body)), {className: 'measures'}));
  if (all.length > rowsShown) area.append(make('p', `The first ${rowsShown} of ${all.length} rows. The CSV has all.`));
}

element.querySelector('details.data').addEventListener('toggle', fillTable);

element.addEventListener('click', (event) => {
  const kind = event.target.closest('button[data-save]')?.dataset.save;
  if (!kind) return;
  const filename = props.value.name;
  if (kind !== 'csv') {
    Plotly.downloadImage(element.querySelector('.area'), {format: kind, filename, width: 1100, height: 700});
    return;
  }
  const href = URL.createObjectURL(new Blob([csv()], {type: 'text/csv'}));
  Object.assign(document.createElement('a'), {href, download: `${filename}.csv`}).click();
  URL.revokeObjectURL(href);
});

watch('value', draw);
draw();
// A plot drawn in a hidden tab has no width until the tab is shown.
new ResizeObserver(() => {
  const area = element.querySelector('.area');
  if (area?.dataset.wired && area.clientWidth) Plotly.Plots.resize(area);
}).observe(element);
