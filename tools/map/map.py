#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""The rooms of rust/rovl: which uses which, as the code has it and as the rooms say it.

A room is a folder of rust/rovl with the file of the same name beside it. The first sentence of that
file's documentation is its title, and the sentence that begins with "May use" has the rooms that it
uses. `check` compares them with the code, `draw` prints the map.
"""

import re
import sys
from collections import defaultdict
from pathlib import Path
from textwrap import wrap
from xml.sax.saxutils import escape

ROOT = Path("rust/rovl")
OTHERS = [Path("rust/vfs"), Path("rust/stacking"), Path("rust/ondisk"), Path("rust/ioctls")]


def without_tests_and_comments(text):
    text = text.split("#[cfg(rovl_kunit)]")[0]
    return re.sub(r"//[^\n]*", "", text)


class Room:
    def __init__(self, name):
        self.name = name
        self.files = [ROOT / f"{name}.rs", *sorted((ROOT / name).rglob("*.rs"))]
        text = self.files[0].read_text()
        doc = " ".join(re.findall(r"^//! ?(.*)$", text, re.M))
        self.title = re.match(r".*?\.(?=\s|$)", doc).group(0).rstrip(".")
        may_use = re.search(r"May use (.*?)\.(?:\s|$)", doc)
        self.may_use = set(re.findall(r"`(\w+)`", may_use.group(1))) if may_use else set()
        self.modules = re.findall(r"^(?:pub\(crate\) )?mod (\w+);", text, re.M)
        self.code = "\n".join(without_tests_and_comments(f.read_text()) for f in self.files)


def groups(text):
    """The comma-separated parts of `text`, without looking into braces."""
    depth, part = 0, ""
    for char in text:
        depth += {"{": 1, "}": -1}.get(char, 0)
        if char == "," and depth == 0:
            yield part.strip()
            part = ""
        else:
            part += char
    if part.strip():
        yield part.strip()


def imported(code):
    """What follows `crate::` in the paths of `code`."""
    for use in re.findall(r"\buse crate::([^;]*);", code):
        for part in groups(use[1:use.rindex("}")] if use.startswith("{") else use):
            yield part
    yield from re.findall(r"\bcrate::(\w+)", code)


def functions(code):
    return set(re.findall(r"\bfn (\w+)", code))


def guests(room):
    """The methods that `room` gives to a type of another room: no import tells that they are used."""
    for kind, body in re.findall(r"^impl(?:<[^>]*>)? (\w+)(?:<[^>]*>)? \{\n(.*?)^\}", room.code, re.M | re.S):
        if not re.search(rf"\b(?:struct|enum) {kind}\b", room.code):
            yield from re.findall(r"\bpub\(crate\) fn (\w+)", body)


def uses(rooms):
    """For each room the others that it names, or whose methods of another's type it calls."""
    homes = defaultdict(set)
    for room in rooms.values():
        for method in guests(room):
            homes[method].add(room.name)
    elsewhere = functions("\n".join(f.read_text() for folder in OTHERS for f in folder.rglob("*.rs")))
    found = {}
    for room in rooms.values():
        named = {re.match(r"\w*", path).group(0) for path in imported(room.code)}
        for method in set(re.findall(r"\.(\w+)\(", room.code)) - functions(room.code) - elsewhere:
            if len(homes[method]) == 1:
                named |= homes[method]
        found[room.name] = (named & rooms.keys()) - {room.name}
    return found


def levels(found):
    """How many stairs lead down from each room; None where they lead in a circle."""
    level = {}
    while len(level) < len(found):
        free = [n for n, used in found.items() if n not in level and used <= level.keys()]
        if not free:
            return None
        for name in free:
            level[name] = 1 + max((level[n] for n in found[name]), default=-1)
    return level


def check(rooms, found):
    good = True
    for name, room in rooms.items():
        for other in sorted(found[name] - room.may_use):
            print(f"rust/rovl/{name} uses {other}, which rust/rovl/{name}.rs does not say that it may")
            good = False
        for other in sorted(room.may_use - found[name]):
            print(f"rust/rovl/{name}.rs says that it may use {other}, which it does not")
            good = False
    if levels(found) is None:
        print("the rooms of rust/rovl use each other in a circle")
        good = False
    return good


WIDTH, HEIGHT, GAP, MARGIN, COLUMNS = 232, 126, 40, 20, 4


def direct(found):
    """The stairs without those that a longer way leads along, too."""
    below = {}
    for name in sorted(found, key=levels(found).get):
        below[name] = set(found[name]).union(*(below[n] for n in found[name]), set())
    return {n: {m for m in used if not any(m in below[o] for o in used)} for n, used in found.items()}


def in_row(names, far):
    """`names` side by side, those to which stairs lead from far above at the sides."""
    left, right = [], []
    for i, name in enumerate(sorted(names, key=lambda n: (-far[n], n))):
        (right if i % 2 else left).append(name)
    return left + right[::-1]


def place(found):
    """The upper left corner of each room, the highest at the top."""
    level = levels(found)
    top = max(level.values())
    stairs = direct(found)
    far = {n: max((level[o] for o in found if n in stairs[o]), default=0) for n in found}
    places = {}
    for row in range(top + 1):
        names = in_row([n for n in found if level[n] == top - row], far)
        left = MARGIN + (COLUMNS - len(names)) * (WIDTH + GAP) / 2
        for column, name in enumerate(names):
            places[name] = (left + column * (WIDTH + GAP), MARGIN + row * (HEIGHT + GAP))
    return places


def crate_title(folder):
    doc = re.search(r"^//! (.*)$", (folder / f"{folder.name}.rs").read_text(), re.M)
    return doc.group(1).replace("`", "")


def draw(rooms, found):
    level = levels(found)
    places = place(found)
    width = 2 * MARGIN + COLUMNS * (WIDTH + GAP) - GAP
    bottom = MARGIN + (max(level.values()) + 1) * (HEIGHT + GAP)
    crates = [f for f in (ROOT, *OTHERS) if f != ROOT and f.is_dir()]
    height = bottom + len(crates) * 34 + MARGIN
    out = [
        "<!-- SPDX-License-Identifier: GPL-2.0 -->",
        "<!-- made by tools/map; `make map` renews it -->",
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        'font-family="sans-serif" font-size="14">',
        "  <title>The rooms of rust/rovl, and the crates below</title>",
        "  <style>.room { fill: #dcecff; stroke: #345; stroke-width: 1.5 } .crate { fill: #f3f0e6; stroke: #345 }"
        " .small { font-size: 11px; fill: #444 } .file { fill: #047 } .stair { stroke: #345; stroke-width: 1.3; fill: none } text { fill: #123 }</style>",
        f'  <rect width="{width}" height="{height}" fill="#fff"/>',
    ]
    for name, used in direct(found).items():
        x, y = places[name]
        for other in sorted(used):
            to_x, to_y = places[other]
            out.append(
                f'  <path class="stair" d="M{x + WIDTH / 2:g} {y + HEIGHT:g}L{to_x + WIDTH / 2:g} {to_y:g}"/>'
            )
    for name, room in rooms.items():
        x, y = places[name]
        out.append(f'  <rect class="room" x="{x:g}" y="{y:g}" width="{WIDTH}" height="{HEIGHT}" rx="4"/>')
        out.append(f'  <text x="{x + 10:g}" y="{y + 20:g}" font-weight="bold">{name}</text>')
        lines = [("small", line) for line in wrap(escape(room.title), 36)]
        lines += [("small file", line) for line in wrap(" ".join(room.modules), 36)]
        for i, (kind, line) in enumerate(lines):
            out.append(f'  <text class="{kind}" x="{x + 10:g}" y="{y + 36 + 13 * i:g}">{line}</text>')
    for i, folder in enumerate(crates):
        y = bottom + i * 34
        out.append(f'  <rect class="crate" x="{MARGIN}" y="{y}" width="{width - 2 * MARGIN}" height="28" rx="4"/>')
        out.append(
            f'  <text x="{MARGIN + 10}" y="{y + 19}"><tspan font-weight="bold">{folder}</tspan>'
            f'<tspan dx="12">{escape(crate_title(folder))}</tspan></text>'
        )
    out.append("</svg>")
    return "\n".join(out) + "\n"


def main():
    names = [p.stem for p in sorted(ROOT.glob("*.rs")) if p.stem != ROOT.name]
    rooms = {name: Room(name) for name in names}
    found = uses(rooms)
    if sys.argv[1:] == ["uses"]:
        for name, used in found.items():
            print(f"{name}: {' '.join(sorted(used))}")
    elif sys.argv[1:] == ["check"]:
        sys.exit(0 if check(rooms, found) else 1)
    elif sys.argv[1:] == ["draw"]:
        sys.stdout.write(draw(rooms, found))
    else:
        sys.exit("usage: map.py check|draw|uses")


main()
