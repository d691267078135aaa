"""What a visitor trains or brings is used in the other tabs, by this visitor only, in a real Chromium."""

import numpy as np

from .conftest import choose_tab, until
from .test_train_tab import LONG, put, train_tab


def models(page):
    """The models that Compare offers."""
    choose_tab(page, "Compare")
    page.locator("#model input").click()
    page.get_by_role("option").first.wait_for(timeout=LONG)
    return page.get_by_role("option").all_inner_texts()


def test_a_network_trained_here_compares_two_held_out_faces_for_its_visitor_only(visit):
    page, _ = train_tab(visit)
    put(page, "train-people", 30)
    put(page, "train-faces", 6)
    put(page, "train-epochs", 1)
    page.locator("#train-start").click()
    page.wait_for_selector("#train-run h2 >> text=✔ Finished", timeout=LONG)
    until(page, "!document.querySelector('#train-use').disabled", timeout=LONG)
    page.locator("#train-use").click()
    page.wait_for_selector("#verdict >> text=3 held-out identities of rendered faces", timeout=LONG)
    name = page.locator("#model input").input_value()
    assert name.startswith("resnet_face, softmax, 1 epoch #")
    page.locator("#models summary").first.click()
    page.wait_for_selector(f"#models th >> text={name}", timeout=LONG)
    assert page.locator("#why .fl-problem").count() == 0
    other, _ = visit()
    assert not any("#" in offered for offered in models(other))


def test_brought_embeddings_fill_the_dashboards_for_their_visitor_only(visit, tmp_path):
    rng, labels = np.random.default_rng(0), np.repeat(np.arange(20), 5)
    centers = rng.normal(size=(20, 32))
    page, _ = visit(link="tab=own")
    page.wait_for_selector("#own-evaluate", timeout=LONG)
    until(page, "window.facelabLoaded", timeout=LONG)
    for name, noise in (("a", 1.0), ("b", 1.8)):
        vectors = (centers[labels] + noise * rng.normal(size=(100, 32))).astype(np.float32)
        np.savez(tmp_path / f"{name}.npz", embeddings=vectors, labels=labels)
        page.locator(f"#own-run-{name} input[type=file]").set_input_files(tmp_path / f"{name}.npz")
        page.wait_for_selector(f"#own-said >> text=Run {name.upper()}: 100 embeddings", timeout=LONG)
    page.locator("#own-evaluate").click()
    page.wait_for_selector("#own-difference >> text=✔ A: a has the lower EER", timeout=LONG)
    for chart in ("roc", "det", "hist-a", "hist-b", "map-a", "map-b"):
        page.wait_for_selector(f"#own-{chart} .main-svg", timeout=LONG)
    rows = [f"{i},{i + 1},1" for i in range(0, 100, 5)] + [f"{i},{(i + 50) % 100},0" for i in range(60)]
    (tmp_path / "pairs.csv").write_text("image1,image2,label\n" + "\n".join(rows), encoding="utf-8")
    page.locator("#own-pairs input[type=file]").set_input_files(tmp_path / "pairs.csv")
    page.wait_for_selector("#own-pairs .file-preview", timeout=LONG)
    page.locator("#own-evaluate").click()
    page.wait_for_selector("#own-figures-a >> text=60 impostor pairs of your list", timeout=LONG)
    other, _ = visit(link="tab=own")
    other.wait_for_selector("#own-figures-a >> text=Bring embeddings", timeout=LONG)
    assert other.locator("#own-difference").inner_text() == ""
