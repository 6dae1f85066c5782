"""Compares what a block prints with what the document shows.

- `…` or `...` in a shown line stands for any text; alone in a line, for any number of lines.
- Ids, times, secrets and other values that differ in each run are equal if both have the same form.
- If the shown text is JSON and so is the printed one, the values are compared: a member `"…"` stands for further members,
  and the order of members has no meaning.
"""

import json
import re

ANY = "…"
# The forms of values that differ in each run.
FORMS = [
    (re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"), "<id>"),
    (re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d(\.\d+)?)?( ?UTC|Z)?"), "<time>"),
    (re.compile(r"\b(rc[a-z]|rck|whsec)_[A-Za-z0-9_+/=-]{8,}"), r"<\1>"),
    (re.compile(r"\bmsg_[A-Za-z0-9_-]+"), "<message>"),
    (re.compile(r"\beyJ[A-Za-z0-9_.-]{8,}"), "<jwt>"),
    (re.compile(r"\d{8}T\d{6}Z"), "<time>"),
    (re.compile(r"\b[A-Z][a-z]{2}, \d\d [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d GMT"), "<date>"),
]
# Members whose numbers differ in each run.
COUNTERS = ("seq", "startSeq", "durationMs")


def normalize(text: str) -> str:
    for form, name in FORMS:
        text = form.sub(name, text)
    return text


def find_difference(shown: str, printed: str) -> str:
    """Returns "" if the printed text is what the document shows, else one sentence."""
    expected = parse(shown)
    if expected is not None:
        actual = parse(printed)
        if actual is None:
            return f"the document shows JSON, but this was printed:\n{printed}"
        return compare_values(expected, actual, "")
    return compare_lines(normalize(shown).splitlines(), normalize(printed).splitlines())


def parse(text: str) -> object:
    """Returns the value of a JSON text, or None. `, …` at the end of an object or array is a member that stands for others."""
    text = re.sub(r",\s*…\s*}", ', "…": "…"}', re.sub(r",\s*…\s*]", ', "…"]', text))
    try:
        return json.loads(text)
    except ValueError:
        return None


def compare_values(expected: object, actual: object, path: str) -> str:
    if expected == ANY:
        return ""
    if isinstance(expected, dict) and isinstance(actual, dict):
        absent = [name for name in expected if name not in actual and name != ANY]
        more = [name for name in actual if name not in expected and ANY not in expected]
        if absent or more:
            return f"{path or 'the object'}: shown and not printed: {absent}; printed and not shown: {more}"
        differences = (compare_values(expected[name], actual[name], f"{path}.{name}") for name in expected if name != ANY)
        return next(filter(None, differences), "")
    if isinstance(expected, list) and isinstance(actual, list):
        rest = expected[:-1] if expected and expected[-1] == ANY else expected
        if len(actual) < len(rest) or (len(actual) > len(rest) and rest is expected):
            return f"{path}: {len(rest)} values are shown, {len(actual)} were printed"
        return next(filter(None, map(compare_values, rest, actual, [f"{path}[]"] * len(rest))), "")
    if isinstance(expected, str) and isinstance(actual, str):
        is_equal = matches(expected, actual) or matches(normalize(expected), normalize(actual))
        return "" if is_equal else f"{path}: shown {expected!r}, printed {actual!r}"
    if path.rpartition(".")[2] in COUNTERS and isinstance(expected, int) and isinstance(actual, int):
        return ""
    return "" if expected == actual and type(expected) is type(actual) else f"{path}: shown {expected!r}, printed {actual!r}"


def matches(shown: str, printed: str) -> bool:
    """Whether one line is what is shown."""
    parts = re.split(r"…|\.\.\.", shown.strip())
    return re.fullmatch(".*".join(map(re.escape, parts)), printed.strip()) is not None


def compare_lines(shown: list[str], printed: list[str]) -> str:
    printed = [line for line in printed if line.strip()]
    shown = [line for line in shown if line.strip()]
    at, is_free = 0, False
    for line in shown:
        if line.strip() in (ANY, "..."):
            is_free = True
            continue
        rest = range(at, len(printed)) if is_free else range(at, min(at + 1, len(printed)))
        found = next((number for number in rest if matches(line, printed[number])), None)
        if found is None:
            next_line = printed[at] if at < len(printed) else "(nothing)"
            return f"shown:   {line}\nprinted: {next_line}\nall that was printed:\n" + "\n".join(printed)
        at, is_free = found + 1, False
    if at < len(printed) and not is_free:
        return "printed and not shown:\n" + "\n".join(printed[at:])
    return ""
