// What the page does by itself in the browser: run keys, a question before something is lost, Back and Forward.

// A random name for the runs that this browser tab makes on one tab of the page; it outlives a reload and is
// in no link. '' if there is none yet.
window.facelabKey = (tab, make) => {
  const store = facelabStore(), name = `facelab-${tab}`;
  if (!store[name] && make) {
    const bytes = crypto.getRandomValues(new Uint8Array(16));
    store[name] = Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
  }
  return store[name] ?? '';
};
window.facelabForget = (tab, key) => { if (!key) delete facelabStore()[`facelab-${tab}`]; };
const facelabStore = () => {
  try { return window.sessionStorage ?? window; } catch { return window; }  // switched off: until a reload
};

window.addEventListener('beforeunload', (event) => {
  if (!document.querySelector('[data-unsaved]')) return;
  event.preventDefault();
  event.returnValue = true;
});

window.addEventListener('popstate', () => document.getElementById('facelab-back')?.click());

// Escape closes the definition of a focused term.
window.addEventListener('keydown', (event) => {
  if (event.key === 'Escape') document.activeElement?.closest?.('.fl-term')?.blur();
});
