"""What a visitor trains or brings is used in the other tabs, by this visitor only, in a real Chromium."""

from .conftest import choose_tab, until
from .test_train_tab import LONG, put, train_tab

CHOICES = "[...document.querySelectorAll('#model ul [role=option]')].map((each) => each.textContent)"


def models(page):
    """The models that Compare offers."""
    choose_tab(page, "Compare")
    page.locator("#model input").click()
    page.wait_for_selector("#model ul [role=option]", timeout=LONG)
    names = page.evaluate(CHOICES)
    page.keyboard.press("Escape")
    return names


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
    page.wait_for_selector(f"#models th >> text={name}", timeout=LONG)
    assert page.locator("#why .fl-problem").count() == 0
    other, _ = visit()
    assert not any("#" in offered for offered in models(other))
