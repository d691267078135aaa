"""A circle whose three photos can be dragged: with mouse or finger, or with the arrow keys.

The handles only report their position; everything about the triplet comes from the server. A handle moves
immediately and the drawing follows; outdated drawings do not move it back.
"""

from facelab.ui.widgets.chart import DRAW, Chart

PHOTOS = ("anchor", "positive", "negative")
HANDLES = """
const box = element.querySelector('.fl-handles');
const handles = [...box.children];
const asked = [];  // where a handle was put, until that is drawn
let held = null, degrees = [];
const put = (i) => {
  const {xaxis: x, yaxis: y} = plot._fullLayout, angle = degrees[i] * Math.PI / 180;
  handles[i].style.left = `${x._offset + x.l2p(Math.cos(angle))}px`;
  handles[i].style.top = `${y._offset + y.l2p(Math.sin(angle))}px`;
  handles[i].setAttribute('aria-valuenow', degrees[i]);
  handles[i].setAttribute('aria-valuetext', `${degrees[i]} degrees`);
};
const turn = (i, angle) => {
  degrees[i] = asked[i] = (Math.round(angle) + 720) % 360;
  put(i);
  box.dataset.degrees = JSON.stringify(degrees);
  trigger('input');
};
const putAll = () => plot._fullLayout.xaxis && handles.forEach((_, i) => put(i));
plot.addEventListener('drawn', () => {
  plot.layout.meta.degrees.forEach((angle, i) => {
    if (asked[i] === angle) asked[i] = undefined;
    if (asked[i] === undefined) degrees[i] = angle;
  });
  putAll();
});
plot.addEventListener('drawn', () => plot.on('plotly_afterplot', putAll), {once: true});  // resized, too
handles.forEach((handle, i) => {
  handle.addEventListener('pointerdown', (event) => { held = i; handle.setPointerCapture(event.pointerId); });
  for (const end of ['pointerup', 'pointercancel']) handle.addEventListener(end, () => { held = null; });
  handle.addEventListener('pointermove', (event) => {
    if (held !== i) return;
    const {xaxis: x, yaxis: y} = plot._fullLayout, place = plot.getBoundingClientRect();
    const right = event.clientX - place.left - x._offset - x.l2p(0);
    const down = event.clientY - place.top - y._offset - y.l2p(0);
    turn(i, Math.atan2(-down, right) * 180 / Math.PI);
  });
  handle.addEventListener('keydown', (event) => {
    const steps = {ArrowLeft: 2, ArrowUp: 2, ArrowRight: -2, ArrowDown: -2, PageUp: 15, PageDown: -15};
    if (!(event.key in steps)) return;
    event.preventDefault();
    turn(i, degrees[i] + steps[event.key]);
  });
});
"""
READ = "() => JSON.parse(document.querySelector('#{} .fl-handles').dataset.degrees)"
STYLE = """
.fl-circle { position: relative; }
.fl-handles { position: absolute; inset: 0; pointer-events: none; }
.fl-handles button { position: absolute; width: 34px; height: 34px; margin: -17px 0 0 -17px; padding: 0;
  border-radius: 50%; border: 3px solid #fff; outline: 2px solid #000; color: #fff; font-weight: 700;
  pointer-events: auto; touch-action: none; cursor: grab; }
.fl-handles button:focus-visible { outline: 4px solid #E69F00; }
.fl-handles button:nth-child(1) { background: #333; }
.fl-handles button:nth-child(2) { background: #0072B2; }
.fl-handles button:nth-child(3) { background: #B34700; border-radius: 8px; }
"""


class Circle(Chart):
    """Circle of a triplet; its `input` event reports that a handle moved.

    Args:
        value: the figure; its layout's `meta.degrees` places the handles.
        label: text for screen readers.
        elem_id: its id on the page.
    """

    def __init__(self, value: str | None = None, label: str = "circle", elem_id: str = "circle") -> None:
        super().__init__(value, label, elem_id)
        handles = "".join(
            f'<button type="button" role="slider" aria-label="{photo}" aria-valuemin="0" aria-valuemax="359" '
            f'aria-valuenow="0">'
            f"{photo[0].upper()}</button>"
            for photo in PHOTOS
        )
        self.html_template = self.html_template.replace(
            self.plot, f'<div class="fl-circle">{self.plot}<div class="fl-handles">{handles}</div></div>'
        )
        self.css_template += STYLE
        self.js_on_load = DRAW + HANDLES

    def read(self) -> str:
        """Return JavaScript that returns the three angles in degrees."""
        return READ.format(self.elem_id)
