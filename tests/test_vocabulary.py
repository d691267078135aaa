"""User-visible words are the field's: the "instead of" column of the glossary occurs nowhere.

Strings of ui/, plots/ and cli/ are collected from the source (docstrings apart, but for those that are a
command's help), with the recipe's field docstrings, README, docs, notebooks and the newest section of the
CHANGELOG. Docstrings of functions open with an imperative verb, and none contains an idiom.
"""

import ast
import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
INSTEAD = {  # a pattern: what to write
    r"strictness": "false accept rate (FAR)",
    r"verdicts?\b": "decision",
    r"even odds": "50:50 prior",
    r"pairs of (one person|two people|different people)": "genuine pairs, impostor pairs",
    r"training never saw|people whom|never seen by training|strangers?\b": "unseen identities, unenrolled",
    r"people of training": "training identities",
    r"one person refused|refuse[ds]? (of|many) |two people accepted": "genuine pairs rejected, FRR",
    r"new photos|held back": "held-out photos",
    r"named rightly|rightly": "top-1 accuracy",
    r"right in training": "training accuracy",
    r"what it claims|claims (too|on|what)|claimed": "mean confidence",
    r"too sure|too modest|how sure": "overconfident, underconfident, confidence",
    r"gap in the bins": "ECE",
    r"surprise": "NLL",
    r"mended": "temperature scaling",
    r"by heart": "overfit recipe",
    r"own (logit|prototype|angle|cosine|center)": "target logit, class weight vector, intra-class angle",
    r"gradient’s size|how hard (it|each loss|the loss)": "gradient magnitude",
    r"class owns": "decision regions",
    r"surest": "maximum attainable probability",
    r"\bheaps?\b": "score distributions",
    r"couples in|pairs in the right order": "ranking errors, pairs ranked correctly (AUC)",
    r"two numbers per face": "2-D embeddings",
    r"squeezed": "projected to 2-D",
    r"trained alike|equal training(?! recipe)": "same training recipe",
    r"strong, by others": "reference (dlib ResNet)",
    r"imitates?\b|imitated": "distilled from",
    r"faces of nobody": "synthetic faces",
    r"rendered people|made-up people": "synthetic identities",
    r"multiply-adds": "MACs",
    r"seen by one value|value of it sees": "receptive field",
    r"its last map": "output feature map",
    r"way down": "lineage",
    r"hidden in this draw|another draw": "dropped in this sample, resample",
    r"neighbou?rs tell": "explained by neighbors (R²)",
    r"vary the faces": "data augmentation",
    r"guessing": "chance level",
    r"\btaught\b|\bteach (it|me|a network)|press teach": "fine-tune on new identities",
    r"in (the )?line\b(?! \d)|(left|leave) the line\b": "queue",
    r"tried so far": "run history",
    r"asked about": "probe",
    r"not yet</h2>": "Check your input",
    r"\banew\b|for ever\b|\bwhom\b|\bnobody\b": "plain words",
    r"\d %": "1%, without a space",
    r"grey|colour|centre|neighbour|normalis|regularis|recognis|labelled\b": "American spelling",
}
ALLOWED = (  # what may stay, and why
    r"strictness",  # as a name: the key of links, the id on the page, an argument
    r"celeba_grey112|grey112",  # a data source's file name
    r"surprised",
    r"screenshot\|stranger",  # in the pattern of file names that name no identity
)
VERBS = re.findall(
    r"\S+",
    """
    Adapt Add Align Answer Append Apply Arrange Ask Average Begin Blank Blend Build Calibrate Call Change
    Check Classify Clear Clip Close Combine Compare Compute Connect Convert Copy Count Create Cover Cut Decide
    Decode Decorate Delete Describe Detect Determine Disable Divide Draw Drop Embed Empty Enroll Estimate
    Evaluate Execute Export Fetch Fill Find Fine-tune Fit Fold Format Free Gather Get Give Group Halve Hash
    Hold Identify Ignore Initialize Insert Join Keep Lay Let Link List Load Map Mark Match Measure Mix Move
    Multiply Open Overwrite Pad Paint Parse Pass Place Plot Print Project Quantize Quote Raise Read Rebuild
    Record Register Remove Rename Replace Report Resample Reset Resize Restore Return Rotate Run Save Scale
    Score Search Seek Select Send Serve Set Shift Show Split Start Stop Store Subtract Swap Sweep Take Time
    Train Turn Undo Unpack Update Upload Verify Wait Warp Whiten Write Yield
    """,
)  # the verbs that open a function's docstring; add one where none of these fits
IDIOMS = (  # in any docstring
    r"\banew\b",
    r"\bwhom\b",
    r"\bnobody\b",
    r"for ever\b",
    r"\b(is|are) refused\b",
    r"held against|judged by",
    r"whole or not at all",
    r"goes on where|as it was\b",
    r"people training never saw|never saw",
    r"\bstrangers\b(?!:)",
    r"even odds",
    r"\bthe least (score|size|norm)\b",
    r"neighbours|colour|centre|grey\b|normalis|regularis|recognis|behaviour|metres\b",
)
ODD = (  # in any string of the package: what a native reader has to read twice
    r"(?<!there )(?<!here )\b(is|are) no (?!more|longer)",
    r"no whole|cannot be told|for want of|of no use|further up",
    r"\bannounces\b|is there already|check it\b",
    r"(is|are) the most\b",
    r"\blegal (is|are)\b",
    r"\b(names nobody|on everybody|asks for nothing)\b",
    r"than it may be|says otherwise|goes on with it",
)
KEY = re.compile(r"[a-z0-9_#.{}:/=&?-]+")  # ids, keys and file names are no words


def constants(tree: ast.AST, docstrings: bool) -> list[tuple[int, str]]:
    """Lines and texts of the string literals of a module; of the docstrings only those of commands."""
    skipped, texts = set(), []
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) and node.body:
            first = node.body[0]
            is_help = docstrings and isinstance(node, ast.FunctionDef) and not node.name.startswith("_")
            if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and not is_help:
                skipped.add(first.value)
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and node not in skipped:
            texts.append((node.lineno, node.value))
    return [(line, text) for line, text in texts if not KEY.fullmatch(text)]


def python_texts() -> Iterator[tuple[str, str]]:
    """(place, text) of what the page, the plots and the commands show."""
    for room in ("ui", "plots", "cli"):
        for path in sorted((ROOT / "facelab" / room).rglob("*.py")):
            for line, text in constants(ast.parse(path.read_text()), docstrings=room == "cli"):
                yield f"{path.relative_to(ROOT)}:{line}", text
    recipe = ast.parse((ROOT / "facelab/models/recipe.py").read_text())
    fields = next(n for n in recipe.body if isinstance(n, ast.ClassDef) and n.name == "Recipe")
    for node in fields.body[1:]:
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            yield f"facelab/models/recipe.py:{node.lineno}", node.value.value


def document_texts() -> Iterator[tuple[str, str]]:
    """(place, line) of the documents, without code."""
    newest = re.split(r"^## ", (ROOT / "CHANGELOG.md").read_text(), flags=re.MULTILINE)[1]
    texts = {"CHANGELOG.md": newest, "README.md": (ROOT / "README.md").read_text()}
    texts |= {str(p.relative_to(ROOT)): p.read_text() for p in sorted((ROOT / "docs").glob("*.md"))}
    for name, text in texts.items():
        text = re.sub(r"```.*?```", lambda block: "\n" * block[0].count("\n"), text, flags=re.DOTALL)
        for number, line in enumerate(re.sub(r"`[^`\n]*`|\]\([^)]*\)", "", text).split("\n"), 1):
            yield f"{name}:{number}", line


def notebook_texts() -> Iterator[tuple[str, str]]:
    """(place, source) of every cell: a student reads the code too."""
    for path in sorted((ROOT / "notebooks").glob("*.ipynb")):
        for i, cell in enumerate(json.loads(path.read_text())["cells"]):
            yield f"notebooks/{path.name}: cell {i}", "".join(cell["source"])


def docstrings() -> Iterator[tuple[str, ast.AST, str]]:
    """(place, module, class or function, docstring) of the package."""
    for path in sorted((ROOT / "facelab").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
                text = ast.get_docstring(node)
                if text:
                    yield f"{path.relative_to(ROOT)}:{node.body[0].lineno}", node, text


def opens_with_a_verb(text: str) -> bool:
    return text.split()[0].rstrip(",") in VERBS


def package_texts() -> Iterator[tuple[str, str]]:
    """(place, text) of every string of the package, error sentences among them."""
    for path in sorted((ROOT / "facelab").rglob("*.py")):
        for line, text in constants(ast.parse(path.read_text()), docstrings=False):
            yield f"{path.relative_to(ROOT)}:{line}", text


def idioms(text: str, patterns: tuple[str, ...] = IDIOMS) -> list[str]:
    return [hit[0] for pattern in patterns if (hit := re.search(pattern, text, re.IGNORECASE))]


def is_property(node: ast.AST) -> bool:
    return any("property" in ast.unparse(decorator) for decorator in node.decorator_list)


def found(texts: Iterator[tuple[str, str]]) -> list[str]:
    """Places where a word of `INSTEAD` stands, and what to write there."""
    out = []
    for place, text in texts:
        plain = text
        for allowed in ALLOWED[1:]:
            plain = re.sub(allowed, "", plain, flags=re.IGNORECASE)
        for pattern, better in INSTEAD.items():
            hit = re.search(pattern, plain, re.IGNORECASE)
            if hit:
                out.append(f"{place}: {hit[0]!r}; write: {better}")
    return out


def test_the_page_the_plots_and_the_commands_use_the_fields_words():
    assert found(python_texts()) == []


def test_the_sentences_of_every_room_are_plain():
    every = (*ODD, *IDIOMS[:5])  # the rest of the idioms are of docstrings alone
    assert [f"{place}: {idioms(text, every)}" for place, text in package_texts() if idioms(text, every)] == []
    assert found(package_texts()) == []


def test_the_documents_use_the_fields_words():
    assert found(document_texts()) == []


def test_the_notebooks_use_the_fields_words():
    assert found(notebook_texts()) == []


def test_docstrings_of_functions_open_with_an_imperative_verb():
    functions = ast.FunctionDef | ast.AsyncFunctionDef
    assert [
        f"{place}: {text.splitlines()[0]}"
        for place, node, text in docstrings()
        if isinstance(node, functions) and not is_property(node) and not opens_with_a_verb(text)
    ] == []


def test_docstrings_are_free_of_idioms():
    assert [f"{place}: {idioms(text)}" for place, _, text in docstrings() if idioms(text)] == []


@pytest.mark.parametrize(
    "text", ["The embeddings.", "What a run leaves.", "(B, D) vectors.", "Whether it fits."]
)
def test_a_noun_does_not_open_a_function_s_docstring(text):
    assert not opens_with_a_verb(text) and opens_with_a_verb("Return, for each pair, its score.")


@pytest.mark.parametrize(
    "text", ["The set starts anew.", "A face is refused.", "Written whole or not at all."]
)
def test_an_idiom_in_a_docstring_is_found(text):
    assert len(idioms(text)) == 1


@pytest.mark.parametrize(
    "text",
    ["a.npz is no whole .npz file", "a.jpg does not exist; check it", "there are 9; 8 are the most"],
)
def test_an_odd_sentence_is_found(text):
    assert idioms(text, ODD) and not idioms("there is no model 'x'; it is no longer shipped", ODD)


@pytest.mark.parametrize("text", ["9 strangers pass", "the verdict", "1 % of pairs", "named rightly"])
def test_a_word_that_should_not_stand_is_found(text):
    assert len(found(iter([("here", text)]))) == 1
