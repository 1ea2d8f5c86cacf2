"""What can happen to a file on its way from a laboratory: slips of the pen, spreadsheets, cables, malice."""

import random
import re
from collections.abc import Callable

Mutation = Callable[[bytes, random.Random], bytes]

# Bytes that look like others: a mark before the text, a hard blank, an Arabic three, a minus as typesetters write it.
_FOREIGN = [b"\xef\xbb\xbf", b"\xff", b"\xc2\xa0", b"\xd9\xa3", b"\xe2\x88\x92", b"\\ud800"]
_PLAIN = [bytes([letter]) for letter in b",;\"'\n\t\0 -.:{}[]\\e"] + [b"\r\n"]
_SYMBOLS = [*_FOREIGN, *_PLAIN]
_NUMBERS = [b"NaN", b"nan", b"inf", b"-Infinity", b"1e999", b"-1e-999", b"1e400000000", b"0,5", b"1_000", b"0x10",
            b"1.2.3", b"--1", b"+0.3", b".5", b"5.", b"007", b"1e3", b"-0.0", b"0", b"", b"true", b"null", b'"0.5"',
            b"9" * 70, b"-500", b"1/2", b"12%", b"-0.3 eV"]  # fmt: skip
_UNITS = [b"eV/atom", b"meV/atom", b"kJ/mol", b"eV", b"EV/ATOM", b"ev/atom", b"GPa", b"eV/atom ", b"meV", b""]
_COLUMNS = [b"value", b"uncertainty", b"unit", b"failure", b"price_eur", b"measured_on", b"correction", b"id", b"steps"]
_ODD_COLUMNS = [b"x_operator", b"schema_version", b"novel", b"x_novelty", b"Value", b"values", b"extra", b"step_melted"]
_KEYS = _COLUMNS + _ODD_COLUMNS
_NUMBER = re.compile(rb"-?\d+\.?\d*(?:e[-+]?\d+)?")
_UNIT = re.compile(rb"m?eV/atom")
_ID = re.compile(rb"calorimetry:\w+:[0-9a-f]{8}")
_FLAG = re.compile(rb"\b(?:true|false)\b")
_DAY = re.compile(rb"2026-11-2\d")
_DAYS = [b"2026-13-01", b"20261120", b"1700000000", b"2026-11-21", b"2031-01-01", b"20.11.2026", b"2026-W47-5"]


def mutate(content: bytes, rng: random.Random) -> bytes:
    """Return the file after one to three accidents."""
    for _ in range(rng.choice([1, 1, 1, 2, 3])):
        content = rng.choice(MUTATIONS)(content, rng)
    return content


def _flip_bit(content: bytes, rng: random.Random) -> bytes:
    place = rng.randrange(len(content) + 1)
    flipped = bytes([letter ^ (1 << rng.randrange(8)) for letter in content[place : place + 1]])
    return content[:place] + flipped + content[place + 1 :]


def _replace_letter(content: bytes, rng: random.Random) -> bytes:
    place = rng.randrange(len(content) + 1)
    return content[:place] + bytes([rng.randrange(32, 127)]) + content[place + 1 :]


def _insert_symbol(content: bytes, rng: random.Random) -> bytes:
    place = rng.randrange(len(content) + 1)
    return content[:place] + rng.choice(_SYMBOLS) + content[place:]


def _delete_part(content: bytes, rng: random.Random) -> bytes:
    place = rng.randrange(len(content) + 1)
    return content[:place] + content[place + rng.choice([1, 1, 2, 5, 40]) :]


def _repeat_part(content: bytes, rng: random.Random) -> bytes:
    place, size = rng.randrange(len(content) + 1), rng.choice([1, 3, 20, 100])
    return content[: place + size] + content[place:]


def _cut_end(content: bytes, rng: random.Random) -> bytes:
    return content[: rng.randrange(len(content) + 1)]


def _swap_lines(content: bytes, rng: random.Random) -> bytes:
    lines = content.split(b"\n")
    first, second = rng.randrange(len(lines)), rng.randrange(len(lines))
    lines[first], lines[second] = lines[second], lines[first]
    return b"\n".join(lines)


def _repeat_line(content: bytes, rng: random.Random) -> bytes:
    lines = content.split(b"\n")
    line = rng.randrange(len(lines))
    return b"\n".join([*lines[:line], lines[line], *lines[line:]])


def _swap_cells(content: bytes, rng: random.Random) -> bytes:
    cells = content.split(b",")
    first = rng.randrange(len(cells))
    second = min(first + rng.choice([1, 1, 11]), len(cells) - 1)
    cells[first], cells[second] = cells[second], cells[first]
    return b",".join(cells)


def _drop_cell(content: bytes, rng: random.Random) -> bytes:
    cells = content.split(b",")
    del cells[rng.randrange(len(cells))]
    return b",".join(cells)


def _semicolons(content: bytes, _: random.Random) -> bytes:
    return content.replace(b",", b";")


def _other_encoding(content: bytes, rng: random.Random) -> bytes:
    text = content.decode("utf-8", "replace")
    return text.encode(rng.choice(["utf-16", "utf-8-sig", "latin-1", "utf-32"]), "replace")


def _line_ends(content: bytes, rng: random.Random) -> bytes:
    return content.replace(b"\n", rng.choice([b"\r\n", b"\r", b"\n\n"]))


def _rewrite(pattern: re.Pattern[bytes], choices: list[bytes] | None) -> Mutation:
    """Return a mutation that writes one of `choices`, or what stands elsewhere in the file, over a match."""

    def mutation(content: bytes, rng: random.Random) -> bytes:
        found = list(pattern.finditer(content))
        if not found:
            return content
        match = rng.choice(found)
        new = rng.choice(choices or [other.group() for other in found])
        return content[: match.start()] + new + content[match.end() :]

    return mutation


_KEY = re.compile(b"|".join(sorted(_KEYS, key=len, reverse=True)))
MUTATIONS: tuple[Mutation, ...] = (
    _flip_bit, _replace_letter, _insert_symbol, _delete_part, _repeat_part, _cut_end, _swap_lines, _repeat_line,
    _swap_cells, _drop_cell, _semicolons, _other_encoding, _line_ends, _rewrite(_NUMBER, _NUMBERS),
    _rewrite(_NUMBER, None), _rewrite(_UNIT, _UNITS), _rewrite(_ID, None), _rewrite(_FLAG, [b"TRUE", b"1", b"no", b""]),
    _rewrite(_DAY, _DAYS), _rewrite(_KEY, _KEYS),
)  # fmt: skip
