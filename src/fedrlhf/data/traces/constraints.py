"""What an answer must not do: give a graded solution away, or show unsafe code.

Both are heuristics on the text; a log that knows better says so in `violations`.
"""

import ast
import re
from collections.abc import Iterator, Sequence

from fedrlhf.data.traces.events import Event, Violation
from fedrlhf.types import as_text

LEAK_SHARE = 0.8  # of the reference's runs of tokens that the prompt does not have
_RUN = 4  # tokens
_TOKEN = re.compile(r"[A-Za-z_]\w*|\d+(?:\.\d+)?|[^\w\s]")
_COMMENT = re.compile(r"#[^\n]*")
_FENCE = re.compile(r"```[ \t]*([\w+-]*)[^\n]*\n(.*?)(?:```|\Z)", re.DOTALL)
_INLINE = re.compile(r"(?<!`)`([^`\n]+)`(?!`)")
_PYTHON = ("", "python", "py", "python3", "ipython")
_PROMPT = re.compile(r"^(>>> ?|\.\.\. ?)", re.MULTILINE)
_MAGIC = re.compile(r"^\s*([!%])", re.MULTILINE)

_SHELL = ("os.system", "os.popen", "os.exec", "os.spawn", "subprocess.", "pty.spawn",
          "commands.getoutput")
_RUNS_TEXT = ("eval", "exec", "compile", "__import__")
_DELETES = ("os.remove", "os.unlink", "os.rmdir", "os.removedirs", "shutil.rmtree")
_DELETING_METHODS = ("unlink", "rmdir", "rmtree")
_NETWORK = ("requests.", "urllib.request.", "http.client.", "socket.", "httpx.", "aiohttp.",
            "ftplib.", "smtplib.", "paramiko.")
_SECRET = re.compile(r"passw(or)?d|passwd|secret|token|api_?key|credential", re.IGNORECASE)


def violations_of(event: Event) -> tuple[Violation, ...]:
    """Return what is wrong with an event's answer: as logged, else computed."""
    if event.violations is not None:
        return event.violations
    return violations_in(event, event.answer)


def violations_in(event: Event, text: str) -> tuple[Violation, ...]:
    """Return what would be wrong with another text as the answer to an event's prompt."""
    reference = event.reference_solution if event.graded else None
    found: list[Violation] = []
    if reference is not None and leaks(text, reference, as_text(event.context)):
        found.append("leaked_answer")
    if unsafe(text):
        found.append("unsafe_code")
    return tuple(found)


def leaks(answer: str, reference: str, prompt: str = "") -> bool:
    """Say whether an answer holds most of a reference solution.

    Counted are the reference's runs of four tokens (of all, where it has fewer), without comments
    and without those that the prompt has already; a leak holds at least 80% of them.
    """
    return overlap(answer, reference, prompt) >= LEAK_SHARE


def overlap(answer: str, reference: str, prompt: str = "") -> float:
    """Return the share of the reference's runs of tokens that stand in the answer, 0 to 1."""
    tokens = _tokens(reference)
    length = min(_RUN, len(tokens))
    wanted = _runs(tokens, length) - _runs(_tokens(prompt), length)
    return len(wanted & _runs(_tokens(answer), length)) / len(wanted) if wanted else 0.0


def unsafe(answer: str) -> bool:
    """Say whether Python in an answer runs a shell or text, deletes, connects or holds secrets.

    Looked at are fenced blocks of Python or of no named language, and inline code that has a call
    or an assignment. Code that does not parse is not judged, except for lines that IPython gives
    to a shell (``!rm``).
    """
    return any(dangers(code) for code in code_of(answer))


def code_of(answer: str) -> list[str]:
    """Return the Python of an answer: fenced blocks and inline code."""
    blocks = [body for language, body in _FENCE.findall(answer) if language.lower() in _PYTHON]
    return [*blocks, *_INLINE.findall(_FENCE.sub("", answer))]


def dangers(code: str) -> tuple[str, ...]:
    """Return what code does that a student should not run, in words; empty: nothing."""
    found = ["shell"] if any(mark == "!" for mark in _MAGIC.findall(code)) else []
    kept = "\n".join(line for line in _PROMPT.sub("", code).splitlines() if not _MAGIC.match(line))
    try:
        tree = ast.parse(kept)
    except (SyntaxError, ValueError):  # a fragment, or a null byte
        return tuple(found)
    names = _imported(tree)
    for node in ast.walk(tree):
        found += _danger(node, names)
    return tuple(dict.fromkeys(found))


def _danger(node: ast.AST, names: dict[str, str]) -> Iterator[str]:
    if isinstance(node, ast.Call):
        yield from _dangerous_call(_dotted(node.func, names), node.args)
    elif isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant):
        if isinstance(node.value.value, str) and node.value.value and any(
                _SECRET.search(_dotted(target, names)) for target in node.targets):
            yield "credentials"
    elif isinstance(node, ast.Subscript) and _dotted(node.value, names) == "os.environ":
        if _named_secret(node.slice):
            yield "credentials"


def _dangerous_call(name: str, arguments: Sequence[ast.expr]) -> Iterator[str]:
    if name.startswith(_SHELL):
        yield "shell"
    if name in _RUNS_TEXT and not (arguments and isinstance(arguments[0], ast.Constant)):
        yield "runs text"
    if name in _DELETES or "." in name and name.rpartition(".")[2] in _DELETING_METHODS:
        yield "deletes"
    if name.startswith(_NETWORK):
        yield "network"
    if name in ("os.getenv", "os.environ.get") and arguments and _named_secret(arguments[0]):
        yield "credentials"


def _named_secret(node: ast.expr) -> bool:
    return (isinstance(node, ast.Constant) and isinstance(node.value, str)
            and _SECRET.search(node.value) is not None)


def _imported(tree: ast.AST) -> dict[str, str]:
    """Return what each imported name stands for: ``import subprocess as sp`` gives sp."""
    names: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {one.asname: one.name for one in node.names if one.asname}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {one.asname or one.name: f"{node.module}.{one.name}" for one in node.names}
    return names


def _dotted(node: ast.AST, names: dict[str, str]) -> str:
    """Return ``a.b.c`` for an expression of names; what is no name becomes ``?``."""
    if isinstance(node, ast.Name):
        return names.get(node.id, node.id)
    if isinstance(node, ast.Attribute):
        return f"{_dotted(node.value, names)}.{node.attr}"
    return "?"


def _tokens(text: str) -> list[str]:
    return _TOKEN.findall(_COMMENT.sub("", text))


def _runs(tokens: Sequence[str], length: int) -> set[tuple[str, ...]]:
    return {tuple(tokens[start:start + length]) for start in range(len(tokens) - length + 1)}
