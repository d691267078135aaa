"""Link two maps and a list of identities by a script in the browser.

The data point under the pointer gets a ring on the other map. A click on a data point, or on a number in the
list, highlights that identity on both maps. A lasso or box on one map selects the same photos on the other.
Maps are linked if their layout's `meta` is the same: they draw the same photos.
"""

import json

import gradio as gr

from facelab.plots.space import person_style

PATHS = {
    "circle": '<circle cx="8" cy="8" r="6"/>',
    "square": '<rect x="2.5" y="2.5" width="11" height="11"/>',
    "diamond": '<path d="M8 1 15 8 8 15 1 8Z"/>',
    "cross": '<path d="M6 2h4v4h4v4h-4v4H6v-4H2V6h4Z"/>',
}
LINK = """
const ids = IDS;
const chart = (id) => document.querySelector(`#${id} .facelab-chart`);
const maps = () => ids.map(chart).filter((map) => map?.data);
const traces = (map, role) => map.data.flatMap((trace, i) => (trace.meta === role ? [i] : []));
const photos = (map) => map.layout.meta;
const said = element.querySelector('[role=status]');
let chosen = null;
let among = null;  // the photos of the maps on which an identity was chosen

const bringOut = (map) => {
  const people = traces(map, 'person');
  const all = chosen === null || photos(map) !== among;
  map.library.restyle(map, {'marker.opacity': people.map((i) => (all || i === chosen ? 1 : 0.1))}, people);
};
const choose = (person, map) => {
  if (!map) return;
  chosen = person === chosen && photos(map) === among ? null : person;
  among = photos(map);
  for (const button of element.querySelectorAll('button')) {
    button.setAttribute('aria-pressed', String(Number(button.dataset.person) === chosen));
  }
  maps().forEach(bringOut);
  const both = others(map).length ? ' on both maps' : '';
  const {name, x} = map.data[chosen] ?? {};
  said.textContent = chosen === null ? 'All identities are shown.'
    : `${name[0].toUpperCase()}${name.slice(1)} is highlighted${both}: ${x.length} photos.`;
};
const ring = (map, at) => {
  const change = {};
  for (const axis of ['x', 'y', 'z']) {
    const values = at && map.data[at.curveNumber]?.[axis];
    if (axis !== 'z' || map.data[0].z) change[axis] = [values ? [values[at.pointNumber]] : []];
  }
  map.library.restyle(map, change, traces(map, 'ring'));
};
const others = (map) => maps().filter((other) => other !== map && photos(other) === photos(map));
const isPhoto = (map, at) => map.data[at.curveNumber]?.meta === 'person';
const connect = (map) => {
  const on = (name, act) => { map.removeAllListeners(name); map.on(name, act); };
  on('plotly_hover', ({points: [at]}) => isPhoto(map, at) && others(map).forEach((other) => ring(other, at)));
  on('plotly_unhover', () => others(map).forEach((other) => ring(other, null)));
  on('plotly_click', ({points: [at]}) => isPhoto(map, at) && choose(at.curveNumber, map));
  on('plotly_selected', (event) => others(map).forEach((other) => {
    const people = traces(other, 'person');
    const own = (i) => event.points.filter((at) => at.curveNumber === i).map((at) => at.pointNumber);
    other.library.restyle(other, {selectedpoints: event ? people.map(own) : null}, people);
  }));
  on('plotly_deselect', () => maps().forEach((each) => {
    each.library.restyle(each, {selectedpoints: null}, traces(each, 'person'));
  }));
};
document.addEventListener('drawn', ({target}) => {
  if (!target.data || !target.closest(ids.map((id) => '#' + id).join())) return;
  connect(target);
  said.textContent ||= TOLD;
  if (chosen !== null) bringOut(target);
});
element.addEventListener('click', (event) => {
  const button = event.target.closest('button');
  if (button) choose(Number(button.dataset.person), maps()[0]);
});
"""
STYLE = """
.fl-chips { display: flex; flex-wrap: wrap; gap: .35rem; align-items: center; }
.fl-chips button { margin: 0; display: inline-flex; gap: .3rem; align-items: center; padding: .2rem .55rem;
  cursor: pointer; border: 1px solid var(--border-color-primary); border-radius: 999px;
  background: none; color: inherit; }
.fl-chips button[aria-pressed=true] { outline: 3px solid #0072B2; font-weight: 700; }
.fl-chips svg { width: 14px; height: 14px; stroke: #555; }
[role=status] { font-size: .88rem; margin: .3rem 0 0; color: var(--body-text-color-subdued); }
"""
HELP = "Press a number or a data point to highlight one identity on both maps; press again to show all."
POINT = "Press a data point to highlight its identity; press again to show all."


class People(gr.HTML):
    """The list of identities by number, each with its color and shape on the maps.

    Args:
        count: number of identities; 0 for maps whose number varies, which are linked by pointer alone.
        maps: ids of the two charts.
        elem_id: of the list.
    """

    def __init__(
        self,
        count: int = 16,
        maps: tuple[str, str] = ("space-left", "space-right"),
        elem_id: str = "space-people",
        render: bool = True,
    ) -> None:
        chips = "".join(_chip(person) for person in range(count))
        told = HELP if count else POINT  # the latter once a map is drawn: there may be none yet
        role = ' role="group" aria-label="Highlight identity"' if count else ""  # an empty group says nothing
        super().__init__(
            html_template=f'<div class="fl-chips"{role}>{chips}</div>'
            f'<p role="status" aria-live="polite">{HELP if count else ""}</p>',
            css_template=STYLE,
            js_on_load=LINK.replace("IDS", json.dumps(maps)).replace("TOLD", json.dumps(told)),
            label="People",
            elem_id=elem_id,
            padding=False,
            render=render,
        )


def _chip(person: int) -> str:
    color, shape = person_style(person)
    return (
        f'<button type="button" data-person="{person}" aria-pressed="false" '
        f'aria-label="identity {person + 1}"><svg viewBox="0 0 16 16" fill="{color}" aria-hidden="true">'
        f"{PATHS[shape]}</svg>{person + 1}</button>"
    )
