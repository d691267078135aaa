"""Reading photos: every kind of file gives the same upright pixels, and every bad one a sentence."""

import io
import threading
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps

from facelab.photos import read as photo
from facelab.photos.read import MAX_SIDE, read_photo
from tests.conftest import encoded, one_sentence, png_header

ORIENTATION = 0x0112


@pytest.fixture(scope="module")
def scene() -> Image.Image:
    """A smooth picture without symmetry, 96x64."""
    y, x = np.mgrid[:64, :96]
    return Image.fromarray(np.stack([x * 2, y * 3, 255 - x - y], 2).astype(np.uint8))


def gray_ramp() -> np.ndarray:
    return np.tile(np.linspace(0, 255, 96).round().astype(np.uint8), (64, 1))


def laid(image: Image.Image, orientation: int) -> Image.Image:
    """How a camera stores an upright image under an EXIF orientation."""
    inverse = {5: 5, 6: 8, 7: 7, 8: 6}.get(orientation, orientation)
    return image.transpose(photo.UPRIGHT[inverse]) if orientation > 1 else image


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["PNG", "WEBP", "TIFF"])
def test_every_orientation_gives_identical_pixels(scene, orientation, kind):
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    options = {"lossless": True} if kind == "WEBP" else {}
    data = encoded(laid(scene, orientation), kind, exif=exif, **options)
    assert np.array_equal(read_photo(data).pixels, np.asarray(scene))


@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_of_a_jpeg_follows_pillows_own_rule(scene, orientation):
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    data = encoded(laid(scene, orientation), "JPEG", quality=100, subsampling=0, exif=exif)
    with Image.open(io.BytesIO(data)) as image:
        expected = np.asarray(ImageOps.exif_transpose(image))
    assert np.array_equal(read_photo(data).pixels, expected)
    assert np.abs(expected.astype(int) - np.asarray(scene)).mean() < 3


def test_orientation_shrinks_and_scales_a_large_photo_the_same_way():
    exif = Image.Exif()
    exif[ORIENTATION] = 6
    photo_ = read_photo(encoded(Image.new("RGB", (4096, 1024)), "PNG", exif=exif))
    assert photo_.pixels.shape == (MAX_SIDE, MAX_SIDE // 4, 3)
    assert photo_.scale == 2


def test_broken_exif_costs_neither_the_photo_nor_a_warning(scene, recwarn):
    data = encoded(scene, "PNG", exif=b"Exif\0\0MM\0*\xff\xff\xff\xff broken")
    assert np.array_equal(read_photo(data).pixels, np.asarray(scene))
    assert not recwarn.list


def test_gray_gray_alpha_and_one_bit():
    ramp = Image.fromarray(gray_ramp())
    expected = np.repeat(gray_ramp()[:, :, None], 3, 2)
    assert np.array_equal(read_photo(encoded(ramp, "PNG")).pixels, expected)
    opaque = ramp.convert("LA")
    assert np.array_equal(read_photo(encoded(opaque, "PNG")).pixels, expected)
    clear = Image.merge("LA", (ramp, Image.new("L", ramp.size, 0)))
    assert (read_photo(encoded(clear, "PNG")).pixels == 255).all()
    bits = ramp.convert("1")
    assert np.array_equal(read_photo(encoded(bits, "PNG")).pixels, np.asarray(bits.convert("RGB")))


@pytest.mark.parametrize("kind", ["PNG", "WEBP"])
def test_transparency_is_laid_over_white(scene, kind):
    rgba = scene.convert("RGBA")
    alpha = np.tile(np.linspace(0, 255, 96).round().astype(np.uint8), (64, 1))
    rgba.putalpha(Image.fromarray(alpha))
    data = encoded(rgba, kind, **({"lossless": True, "exact": True} if kind == "WEBP" else {}))
    share = alpha[:, :, None] / 255
    expected = np.asarray(scene) * share + 255 * (1 - share)
    assert np.abs(read_photo(data).pixels - expected).max() <= 1


def test_half_transparent_colors_do_not_bleed_when_a_large_photo_is_reduced():
    pixels = np.zeros((3200, 6400, 4), np.uint8)
    pixels[:, ::2] = (255, 0, 0, 255)  # black beside it is invisible and must not darken the red
    assert np.abs(read_photo(pixels).pixels - np.array([255.0, 127, 127])).max() <= 2


def test_palette_with_and_without_transparency(scene):
    palette = scene.quantize(64)
    expected = np.asarray(palette.convert("RGB"))
    assert np.array_equal(read_photo(encoded(palette, "PNG")).pixels, expected)
    seen = read_photo(encoded(palette, "PNG", transparency=5)).pixels
    clear = np.asarray(palette) == 5
    assert clear.any()
    assert (seen[clear] == 255).all()
    assert np.array_equal(seen[~clear], expected[~clear])


@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_a_transparent_color_is_white_too(scene, mode):
    image = Image.new(mode, (64, 48), 0 if mode == "L" else (10, 20, 30))
    data = encoded(image, "PNG", transparency=0 if mode == "L" else (10, 20, 30))
    assert (read_photo(data).pixels == 255).all()


def test_cmyk_jpeg(scene):
    data = encoded(scene.convert("CMYK"), "JPEG", quality=100, subsampling=0)
    assert np.abs(read_photo(data).pixels.astype(int) - np.asarray(scene)).mean() < 3


def test_sixteen_bits_become_eight_even_in_a_dark_image():
    wide = gray_ramp().astype(np.uint16) * 257
    expected = np.repeat(gray_ramp()[:, :, None], 3, 2)
    assert np.array_equal(read_photo(encoded(Image.fromarray(wide), "PNG")).pixels, expected)
    dark = np.full((50, 60), 200, np.uint16)  # of 65,535: black, not the light gray of 8 bits
    assert (read_photo(encoded(Image.fromarray(dark), "PNG")).pixels <= 1).all()


@pytest.mark.parametrize("top", [1.0, 255.0])
def test_float_tiff_counts_to_one_or_to_255(top):
    values = gray_ramp().astype(np.float32) / 255 * top
    values[0, 0] = np.nan
    pixels = read_photo(encoded(Image.fromarray(values), "TIFF")).pixels
    assert np.abs(pixels[:, :, 0].astype(int) - gray_ramp()).max() <= 1


def test_int32_tiff():
    values = gray_ramp().astype(np.int32) * 257
    pixels = read_photo(encoded(Image.fromarray(values), "TIFF")).pixels
    assert np.array_equal(pixels[:, :, 2], gray_ramp())


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG", "TIFF"])
def test_the_first_frame_of_an_animation(kind):
    frames = [Image.new("RGB", (50, 40), color) for color in ("red", "lime", "blue")]
    options = {"lossless": True} if kind == "WEBP" else {}
    data = encoded(frames[0], kind, save_all=True, append_images=frames[1:], **options)
    assert (read_photo(data).pixels == (255, 0, 0)).all()


def test_all_sources_of_one_photo_agree(scene, tmp_path, monkeypatch):
    path = tmp_path / "ü photo.png"
    scene.save(path)
    monkeypatch.chdir(tmp_path)
    expected = np.asarray(scene)
    for source in (path, str(path), path.name, path.read_bytes(), scene, expected, Image.open(path)):
        assert np.array_equal(read_photo(source).pixels, expected)
    assert np.array_equal(read_photo(np.asfortranarray(expected)).pixels, expected)
    assert np.array_equal(read_photo(gray_ramp()).pixels[:, :, 1], gray_ramp())
    assert (read_photo(np.zeros((5, 5, 4), np.uint8)).pixels == 255).all()


def test_a_callers_image_stays_as_it_was(tmp_path):
    Image.new("RGB", (4000, 3000), "navy").save(tmp_path / "a.jpg")
    with Image.open(tmp_path / "a.jpg") as image:
        assert max(read_photo(image).pixels.shape) == MAX_SIDE
        assert (image.size, image.mode) == ((4000, 3000), "RGB")
    rgba = Image.new("RGBA", (4000, 3000), (1, 2, 3, 4))
    read_photo(rgba)
    assert rgba.size == (4000, 3000)
    assert rgba.getpixel((0, 0)) == (1, 2, 3, 4)


@given(st.integers(1, 6000), st.integers(1, 300))
@settings(max_examples=25, deadline=None)
def test_size_and_scale_of_the_reduced_photo(width, height):
    seen = read_photo(np.full((height, width, 3), 9, np.uint8))
    assert max(seen.pixels.shape[:2]) == min(MAX_SIDE, max(width, height))
    assert seen.scale == pytest.approx(max(1, max(width, height) / MAX_SIDE))
    assert (seen.pixels == 9).all()


def test_reducing_averages_instead_of_skipping_pixels():
    stripes = np.zeros((2400, 8192, 3), np.uint8)
    stripes[:, ::2] = 254
    assert abs(read_photo(stripes).pixels.astype(int) - 127).max() <= 2


LARGE = [("WEBP", "RGB"), ("WEBP", "RGBA"), ("HEIF", "RGB"), ("HEIF", "RGBA"), ("HEIF", "L")]


@pytest.mark.parametrize(("kind", "mode"), LARGE)
def test_a_large_photo_is_the_same_by_either_decoder(scene, kind, mode, monkeypatch):
    if kind == "HEIF":
        pytest.importorskip("pillow_heif").register_heif_opener()
    image = scene.convert(mode).resize((333, 250))  # rows of HEIC's decoder are longer than the photo's
    if mode == "RGBA":
        image.putalpha(100)
    exif = Image.Exif()
    exif[ORIENTATION] = 6
    data = encoded(image, kind, quality=90, exif=exif)
    expected = read_photo(data).pixels
    monkeypatch.setattr(photo, "PILLOW_PIXELS", 100)
    assert np.abs(read_photo(data).pixels.astype(int) - expected).max() <= 1


@pytest.mark.parametrize("kind", ["WEBP", "HEIF"])
def test_a_large_image_that_its_owner_has_loaded_and_changed_is_read_as_it_is(scene, kind, monkeypatch):
    if kind == "HEIF":
        pytest.importorskip("pillow_heif").register_heif_opener()
    image = Image.open(io.BytesIO(encoded(scene, kind, quality=90)))
    image.paste("red", (0, 0, *image.size))
    monkeypatch.setattr(photo, "PILLOW_PIXELS", 100)
    assert (read_photo(image).pixels == (255, 0, 0)).all()


# What cannot be read


def bad_files() -> dict[str, tuple[bytes, str]]:
    noise = Image.effect_noise((300, 300), 60)
    jpeg, png = encoded(noise, "JPEG"), encoded(noise, "PNG")
    return {
        "empty.jpg": (b"", "is empty; choose"),
        "text.jpg": (b"dear diary, no photo today\n" * 9, "save it as JPEG"),
        "vector.svg": (b'<svg xmlns="http://www.w3.org/2000/svg"><circle r="9"/></svg>', "save it as JPEG"),
        "page.html.png": (b"<!doctype html><html></html>", "save it as JPEG"),
        "short.jpg": (jpeg[: len(jpeg) // 2], "export or download it again"),
        "short.png": (png[: len(png) // 2], "export or download it again"),
        "postscript.jpg": (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\nshowpage\n", "save it as JPEG"),
        "huge.png": (png_header(20_000, 20_000), "limit is 51 megapixels"),
        "large.png": (png_header(7_142, 7_142), "limit is 51 megapixels"),
        "wide.png": (png_header(12_000, 8_000), "limit is 51 megapixels"),
    }


@pytest.mark.parametrize("name", bad_files())
def test_a_bad_file_is_answered_in_one_sentence(name, tmp_path, recwarn):
    content, words = bad_files()[name]
    (tmp_path / name).write_bytes(content)
    for source, called in ((tmp_path / name, name), (str(tmp_path / name), name), (content, "The file")):
        with pytest.raises(ValueError, match=words) as error:
            read_photo(source)
        assert str(error.value).startswith(called)
        assert one_sentence(str(error.value), tmp_path)
    assert not recwarn.list


@pytest.mark.parametrize(
    ("name", "words"),
    [("missing.jpg", "does not exist; check"), ("folder", "is a folder"), ("x" * 400, "does not exist")],
)
def test_a_bad_path_is_answered_in_one_sentence(name, words, tmp_path):
    (tmp_path / "folder").mkdir()
    with pytest.raises(ValueError, match=words) as error:
        read_photo(tmp_path / name)
    assert str(error.value).startswith(name)
    assert one_sentence(str(error.value), tmp_path)


@pytest.mark.parametrize(
    "array",
    [np.zeros((9, 9), np.float32), np.zeros((9, 9, 2), np.uint8), np.zeros(9, np.uint8),
     np.zeros((0, 9, 3), np.uint8), np.zeros((9, 9, 3, 1), np.uint8)],
)  # fmt: skip
def test_an_array_that_is_no_photo_is_refused_with_the_legal_shapes(array):
    with pytest.raises(ValueError, match=r"give uint8 \(H, W\), \(H, W, 3\) or \(H, W, 4\)"):
        read_photo(array)


def test_a_lazy_pil_image_beyond_the_limit_is_refused_before_it_is_decoded(tmp_path):
    (tmp_path / "large.png").write_bytes(png_header(9_000, 9_000))
    with Image.open(tmp_path / "large.png") as image, pytest.raises(ValueError, match="9,000x9,000 pixels"):
        read_photo(image)


def test_a_damaged_pil_image_is_answered_like_a_damaged_file():
    data = encoded(Image.effect_noise((300, 300), 60), "JPEG")
    image = Image.open(io.BytesIO(data[: len(data) // 2]))
    with pytest.raises(ValueError, match="The image is damaged"):
        read_photo(image)


@given(st.data())
@settings(max_examples=120, deadline=None)
def test_flipped_and_missing_bytes_never_raise_anything_but_value_error(data):
    kind = data.draw(st.sampled_from(["JPEG", "PNG", "WEBP", "GIF", "TIFF", "BMP", "PPM", "AVIF"]))
    content = bytearray(encoded(Image.linear_gradient("L").resize((60, 50)).convert("RGB"), kind))
    for place in data.draw(st.lists(st.integers(0, len(content) - 1), min_size=1, max_size=6)):
        content[place] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(1, len(content)))
    try:
        pixels = read_photo(bytes(content[:cut])).pixels
    except ValueError as error:
        assert one_sentence(str(error))
    else:
        assert pixels.dtype == np.uint8 and pixels.shape[2] == 3


def test_eight_threads_read_alike(scene):
    files = [encoded(scene, kind) for kind in ("PNG", "GIF", "BMP", "TIFF")] * 4
    seen: list = [None] * len(files)

    def read(i: int) -> None:
        seen[i] = read_photo(files[i]).pixels

    threads = [threading.Thread(target=read, args=(i,)) for i in range(len(files))]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    assert all(np.array_equal(seen[i], seen[i % 4]) for i in range(len(files)))
    with pytest.warns(UserWarning, match="still heard"):  # no thread has silenced the others' warnings
        warnings.warn("still heard", stacklevel=1)


def test_a_photo_of_a_50_megapixel_phone_is_read():
    """8160x6144 are 50.14 megapixels."""
    photo = read_photo(encoded(Image.new("L", (8_160, 6_144), 90), "JPEG"))
    assert max(photo.pixels.shape) == 2048 and photo.scale == pytest.approx(8_160 / 2048)
