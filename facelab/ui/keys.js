// Keyboard: a group of controls is one stop of the Tab key, and arrow keys move within it, as in a toolbar.

const FL_GROUPS = ['#fl-tabs [role=tablist]', '.fl-pipe', '.fl-chart-bar', '.fl-chips', '.fl-rate', '.fl-predict-choices',
  '.fl-figures', '.fl-examples', '[data-testid=source-select]', '.icon-button-wrapper', 'footer', '.fl-foot'].join();
const FL_STOPS = 'a[href], button:not(:disabled), [tabindex]';
const flStops = (group) => [...group.querySelectorAll(FL_STOPS)].filter((each) =>
  each.closest(FL_GROUPS) === group && each.checkVisibility());
const flRove = (group, chosen) => {
  const stops = flStops(group);
  const stop = chosen ?? stops.find((each) => each.getAttribute('aria-selected') === 'true')
    ?? stops.find((each) => each.tabIndex === 0 && each.dataset.roved !== undefined) ?? stops[0];
  for (const each of stops) {
    each.dataset.roved = '';
    if (each.tabIndex !== (each === stop ? 0 : -1)) each.tabIndex = each === stop ? 0 : -1;
  }
};
// Gradio names each radio by itself; with one name for all of a group the browser moves among them by arrows.
const flRadios = () => {
  for (const set of document.querySelectorAll('fieldset')) {
    const radios = set.querySelectorAll('input[type=radio]');
    for (const each of radios) if (each.name !== radios[0].name) each.name = radios[0].name;
  }
};
// A slider is two stops, its number and its handle; Delete on the handle does what its reset button does.
const flReset = (handle) => handle.closest('.block')?.querySelector('.reset-button');
const flSliders = () => {
  for (const handle of document.querySelectorAll('input[type=range]:not([aria-keyshortcuts])')) {
    if (!flReset(handle)) continue;
    flReset(handle).tabIndex = -1;
    handle.setAttribute('aria-keyshortcuts', 'Delete');
    handle.title = 'Delete: reset to the default value';
  }
};
const flKeys = () => {
  flKeysSoon = false;
  flRadios();
  for (const group of document.querySelectorAll(FL_GROUPS)) flRove(group);
  flSliders();
};
const flIdle = window.requestIdleCallback ?? ((work) => setTimeout(work, 60));  // Safari has none
let flKeysSoon = false;  // whether the page has changed since
const flKeysNow = () => { if (flKeysSoon) flKeys(); };
new MutationObserver(() => {
  if (flKeysSoon) return;
  flKeysSoon = true;
  flIdle(flKeysNow, {timeout: 300});
}).observe(document, {subtree: true, childList: true, attributeFilter: ['aria-selected', 'hidden', 'disabled', 'class', 'open', 'name']});

addEventListener('focusin', ({target}) => {
  const group = target.closest?.(FL_GROUPS);
  if (group && target.matches(FL_STOPS)) flRove(group, target);
});
const FL_STEPS = {ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1};
addEventListener('keydown', flKeysNow, true);  // a key finds its groups, on a busy machine too
addEventListener('keydown', (event) => {
  if (event.key === 'Tab' && event.target.getAttribute?.('role') === 'combobox') {  // its list, which scrolls, is
    for (const list of document.querySelectorAll('[role=listbox]')) list.tabIndex = -1;  // gone when it has focus
  }
  if (event.key === 'Delete' && event.target.type === 'range') return flReset(event.target)?.click();
  const group = event.target.closest?.(FL_GROUPS);
  if (!group || event.altKey || event.ctrlKey || event.metaKey || !event.target.matches(FL_STOPS)) return;
  const stops = flStops(group), at = stops.indexOf(event.target);
  const next = event.key === 'Home' ? stops[0] : event.key === 'End' ? stops.at(-1)
    : event.key in FL_STEPS ? stops.at((at + FL_STEPS[event.key]) % stops.length) : null;
  if (!next || at < 0) return;
  event.preventDefault();
  next.focus();
  if (next.getAttribute('role') === 'tab') next.click();
});
