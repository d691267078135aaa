// What the page does by itself in the browser: run keys, a question before something is lost, Back and Forward.

// A random name for a visitor's runs; it outlives a reload, is in no link, and all tabs of one browser share
// it: a tab that has none asks the others. `facelabKey` is '' where the page's tab has started no run.
window.facelabKey = (tab) => (facelabStore()[`facelab-${tab}`] && facelabStore()['facelab-visitor']) || '';
window.facelabStart = async (tab) => {
  const store = facelabStore();
  if (!store['facelab-visitor']) {
    const heard = await new Promise((tell) => {
      facelabHeard = tell;
      facelabTabs?.postMessage('who');
      setTimeout(tell, facelabTabs ? 250 : 0);
    });
    const bytes = crypto.getRandomValues(new Uint8Array(16));
    store['facelab-visitor'] ??= heard ?? Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
  }
  store[`facelab-${tab}`] = '1';
  return store['facelab-visitor'];
};
let facelabHeard = null;
const facelabTabs = window.BroadcastChannel ? new BroadcastChannel(`facelab ${location.pathname}`) : null;
facelabTabs?.addEventListener('message', ({data}) => {
  const name = facelabStore()['facelab-visitor'];
  if (data === 'who') { if (name) facelabTabs.postMessage({name}); } else facelabHeard?.(data.name);
});
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
