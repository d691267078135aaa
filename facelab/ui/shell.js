// The page around the tabs: links that keep what a visitor has, the pipeline's lit part, progress, presenting.

const flParameters = () => new URL(window.location).searchParams;
const flOnce = (find, tries = 150) => new Promise((done) => {
  const look = () => {
    const found = find();
    if (found || tries-- < 0) return done(found);
    setTimeout(look, 60);
  };
  look();
});
const flShown = (id) => [...document.querySelectorAll(`[id="${CSS.escape(id)}"]`)].find((e) => e.offsetParent);
const flTop = () => parseFloat(getComputedStyle(document.documentElement).getPropertyValue('--fl-top')) || 0;

// Open the folded section and bring the figure that a link names into view; charts that are drawn meanwhile
// move it, so it is placed again until it rests or the visitor scrolls.
const flPlace = (target) => {
  const section = target.closest('.fl-columns') ?? target, start = section.getBoundingClientRect().top;
  const dock = section.querySelector(':scope > .fl-panel > .fl-live');
  const docked = dock && getComputedStyle(dock).position === 'sticky' ? dock.offsetHeight : 0;
  const box = target.getBoundingClientRect(), top = flTop() + 8, end = window.innerHeight - docked - 8;
  const by = box.bottom - start <= end - top ? start - top
    : box.height <= end - top ? box.bottom - end : box.top - top;
  window.scrollBy({top: by});
  return Math.abs(by) < 2;
};
const flDrawn = (target) => [...target.querySelectorAll('.facelab-chart')].every((each) => each.querySelector('svg, canvas'));
let flSeeks = 0;  // a newer link ends the search of an older one
window.facelabSeek = async (parameters = flParameters()) => {
  const mine = ++flSeeks;
  const [open, at] = [parameters.get('open'), parameters.get('at')];
  if (![open, at].every((id) => !id || /^[\w-]+$/.test(id))) return;
  let pressed = 0;
  const opened = () => {  // an answer that comes late can fold the section again
    const button = open && flShown(open)?.querySelector('button.label-wrap');
    if (!button) return !open;
    if (!button.classList.contains('open') && performance.now() > pressed + 400) {
      pressed = performance.now();
      button.click();
    }
    return button.classList.contains('open');
  };
  const target = await flOnce(() => mine !== flSeeks || (opened() && flShown(at ?? open)));
  if (!at || !target?.isConnected || mine !== flSeeks) return;
  let moved = false;
  const stop = () => { moved = true; };
  for (const name of ['wheel', 'touchmove', 'keydown', 'pointerdown']) addEventListener(name, stop, {once: true});
  const arrived = () => window.facelabLoaded && window.facelabArrived === window.facelabLink;
  for (let i = 0, rests = 0; i < 120 && rests < 12 && !moved && mine === flSeeks; i++) {
    const there = opened() && target.offsetParent && flPlace(target) && flDrawn(document.getElementById('fl-tabs'));
    rests = there && arrived() ? rests + 1 : 0;
    await new Promise((next) => setTimeout(next, 120));
  }
};

// Follow a link of the page in place: the address, then the tab and its settings (links.py), then the figure.
window.facelabGo = async (link) => {
  await flOnce(() => window.facelabLoaded, 100);  // what the page's own link sets must not come later
  const address = new URL(link, window.location.href.split('?')[0]), now = flParameters();
  for (const kept of ['__theme', 'present', 'card', 'view']) {
    if (now.has(kept) && !address.searchParams.has(kept)) address.searchParams.set(kept, now.get(kept));
  }
  window.facelabTab = address.searchParams.get('tab');
  window.history.pushState(null, '', address);
  window.facelabLink = address.search;
  document.getElementById('facelab-go')?.click();
  document.querySelector(`#fl-tabs [role=tab][data-tab-id="${CSS.escape(window.facelabTab ?? 'start')}"]`)?.click();
  if (!address.searchParams.has('at')) window.scrollTo({top: 0});
  flProgress();
  flOnce(() => document.querySelector(`[role=tab][data-tab-id="${window.facelabTab}"][aria-selected=true]`))
    .then(() => window.facelabSeek(address.searchParams));
};
addEventListener('click', (event) => {
  const link = event.target.closest?.('a.fl-go, a.fl-stage, a.fl-item, a.fl-brand');
  const menu = document.querySelector('.fl-lessons[open]');
  if (menu && !(event.target.closest('.fl-lessons') && !link)) menu.open = false;
  if (link && !event.ctrlKey && !event.metaKey && !event.shiftKey) {
    event.preventDefault();
    return window.facelabGo(link.getAttribute('href'));
  }
  const tool = event.target.closest?.('.fl-tools button');
  if (tool) flTools[tool.dataset.do](tool);
});

const flTools = {
  copy: async (button) => {
    try {
      await navigator.clipboard.writeText(window.location.href);
      button.textContent = '✔ Copied';
    } catch {
      window.prompt('Copy this link:', window.location.href);  // no right to the clipboard
    }
    setTimeout(() => { button.textContent = 'Copy link'; }, 2000);
  },
  theme: () => {
    const dark = document.body.classList.toggle('dark'), address = new URL(window.location);
    address.searchParams.set('__theme', dark ? 'dark' : 'light');
    window.history.replaceState(null, '', address);
  },
};

// Progress is the number of the last card, in the address only; the foot of every tab leads to the next one.
const flProgress = () => {
  const cards = window.facelabCards ?? [], last = Number(flParameters().get('card')) || 0, next = cards[last];
  for (const link of last ? document.querySelectorAll('.fl-next') : []) {
    const [title, href] = next ? [`${last + 1}. ${next.title}`, next.link] : ['Start', '?tab=start'];
    if (link.textContent === `Next: ${title} →`) continue;  // or the observer below would never rest
    link.textContent = `Next: ${title} →`;
    link.setAttribute('href', href);
  }
  for (const card of document.querySelectorAll('.fl-topic')) {
    card.querySelector('.fl-seen-mark').dataset.seen = Number(card.dataset.card) <= last ? ' · ✔ opened' : '';
    card.toggleAttribute('data-next', Number(card.dataset.card) === last + 1);
  }
};
const flLight = () => {
  const tab = document.querySelector('#fl-tabs [role=tab][aria-selected=true]');
  if (!tab) return;
  document.body.dataset.tab = tab.dataset.tabId;
  for (const stage of document.querySelectorAll('.fl-stage')) {
    if (stage.dataset.tabs.split(' ').includes(tab.dataset.tabId)) stage.setAttribute('aria-current', 'true');
    else stage.removeAttribute('aria-current');
  }
  const strip = tab.parentElement;
  strip.scrollTo({left: tab.offsetLeft - strip.clientWidth / 2 + tab.offsetWidth / 2});
  flProgress();
};
// A folded table that a visitor has opened stays open when its figures are renewed.
const flOpened = new Set();
const flTitle = (details) => details.querySelector('summary')?.textContent;
document.addEventListener('toggle', ({target}) => {
  if (target.matches?.('details.fl-more')) flOpened[target.open ? 'add' : 'delete'](flTitle(target));
}, true);
const flReopen = () => {
  if (!flOpened.size) return;
  for (const each of document.querySelectorAll('details.fl-more:not([open])')) each.open = flOpened.has(flTitle(each));
};
const flStart = () => {
  document.body.classList.toggle('fl-present', flParameters().get('present') === '1');
  let last = '';
  new MutationObserver(() => {
    const tab = document.querySelector('#fl-tabs [role=tab][aria-selected=true]')?.dataset.tabId ?? '';
    const feet = document.querySelectorAll('.fl-next').length, now = `${tab} ${feet}`;
    if (now !== last) { last = now; flLight(); }
    flReopen();
    for (const line of document.querySelectorAll('.katex-display:not([tabindex])')) line.tabIndex = 0;  // it may scroll
  }).observe(document.body, {subtree: true, childList: true, attributeFilter: ['aria-selected']});
  window.facelabSeek();
};
if (document.body) flStart();
else addEventListener('DOMContentLoaded', flStart);

// A presenter's remote (Page Down, Page Up) moves between cards.
addEventListener('keydown', (event) => {
  const turn = {PageDown: 1, PageUp: -1}[event.key];
  if (!turn || !document.body.classList.contains('fl-present')) return;
  const card = window.facelabCards[(Number(flParameters().get('card')) || 0) - 1 + turn];
  if (card) { event.preventDefault(); window.facelabGo(card.link); }
});
