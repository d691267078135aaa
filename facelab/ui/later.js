// Long values of the page stand at addresses of their own (opening.py) and are fetched once they are displayed.

const flLater = new Map();
window.facelabLater = (name) => {
  if (!flLater.has(name)) {
    const text = fetch(`opening/${name}`).then((answer) => (answer.ok ? answer.text() : Promise.reject(answer.status)));
    text.catch(() => flLater.delete(name));  // asked again by the next one
    flLater.set(name, text);
  }
  return flLater.get(name);
};

// Call `act` when an element is first displayed, wherever it is scrolled to: not in a closed tab or section.
window.facelabShown = (element, act) => {
  const watch = new ResizeObserver(() => {  // also where the page is in a frame, unlike an IntersectionObserver
    if (!element.getClientRects().length) return;
    watch.disconnect();
    act();
  });
  watch.observe(element);
};

const flFill = async (place) => {
  const name = place.dataset.later;
  try {
    const filled = document.createElement('template');
    filled.innerHTML = await facelabLater(name);
    if (place.isConnected && place.dataset.later === name) place.replaceWith(filled.content);  // or it is outdated
  } catch {
    place.textContent = 'This part did not come; load the page again.';
  }
};
const flFillAll = () => {
  for (const place of document.querySelectorAll('[data-later]:not([data-asked])')) {
    place.dataset.asked = '';
    facelabShown(place, () => flFill(place));
  }
};
new MutationObserver(flFillAll).observe(document, {subtree: true, childList: true});
