#!/usr/bin/env python3
"""Makes an SVG of what a terminal shows, as `tmux capture-pane -e -p` prints it: svg.py < capture > picture.svg"""

import re
import sys
import unicodedata
from xml.sax.saxutils import escape

CELL_W, CELL_H, SIZE = 8.4, 18, 14
GROUND, TEXT = "#10141a", "#d8dee6"
BASIC = ["#20242b", "#d55e00", "#3fa36b", "#e69f00", "#4a90d9", "#b877c9", "#56b4c9", "#c8ced6",
         "#6b7480", "#ff8a5c", "#6fd39b", "#ffd166", "#7fb8f0", "#dda0e8", "#8fe0ee", "#ffffff"]


def colour(number):
    if number < 16:
        return BASIC[number]
    if number >= 232:
        grey = 8 + 10 * (number - 232)
        return f"#{grey:02x}{grey:02x}{grey:02x}"
    steps = [0, 95, 135, 175, 215, 255]
    number -= 16
    return "#" + "".join(f"{steps[n]:02x}" for n in (number // 36, number // 6 % 6, number % 6))


def cells(line, state):
    """The characters of a line with their colours; the state goes on in the next line."""
    for part in re.split(r"(\x1b\[[0-9;:]*m)", line):
        if part.startswith("\x1b["):
            codes = [int(code or 0) for code in re.split("[;:]", part[2:-1])]
            while codes:
                code = codes.pop(0)
                if code == 0:
                    state.clear()
                elif code in (1, 2, 4, 7):
                    state[code] = True
                elif code == 22:
                    state.pop(1, None), state.pop(2, None)
                elif code in (24, 27):
                    state.pop(code - 20, None)
                elif code in (38, 48) and codes[:1] == [5]:
                    state["fg" if code == 38 else "bg"] = colour(codes[1])
                    codes = codes[2:]
                elif code in (39, 49):
                    state.pop("fg" if code == 39 else "bg", None)
                elif 30 <= code <= 37 or 90 <= code <= 97:
                    state["fg"] = colour(code - 30 if code < 90 else code - 82)
        else:
            for char in part:
                yield char, dict(state)


def main():
    lines = sys.stdin.read().rstrip("\n").split("\n")
    state, rows = {}, []
    for line in lines:
        rows.append(list(cells(line, state)))
    columns = max(len(row) for row in rows)
    width, height = columns * CELL_W + 24, len(rows) * CELL_H + 24
    print(f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0f}" height="{height}" '
          f'viewBox="0 0 {width:.0f} {height}" font-family="DejaVu Sans Mono, Menlo, Consolas, monospace" '
          f'font-size="{SIZE}">')
    print(f'<rect width="100%" height="100%" rx="8" fill="{GROUND}"/>')
    for y, row in enumerate(rows):
        x = 0
        runs = []
        for char, style in row:
            wide = 2 if unicodedata.east_asian_width(char) in "WF" else 1
            if runs and runs[-1][2] == style and runs[-1][0] + runs[-1][3] == x:
                runs[-1][1] += char
                runs[-1][3] += wide
            else:
                runs.append([x, char, style, wide])
            x += wide
        for x, text, style, length in runs:
            fg, bg = style.get("fg", TEXT), style.get("bg")
            if 7 in style:
                fg, bg = bg or GROUND, fg
            left, top = 12 + x * CELL_W, 12 + y * CELL_H
            if bg:
                print(f'<rect x="{left:.1f}" y="{top}" width="{length * CELL_W:.1f}" height="{CELL_H}" fill="{bg}"/>')
            if text.strip():
                bold = ' font-weight="bold"' if 1 in style else ""
                dim = ' opacity="0.6"' if 2 in style else ""
                print(f'<text x="{left:.1f}" y="{top + 14}" fill="{fg}"{bold}{dim} xml:space="preserve" '
                      f'textLength="{length * CELL_W:.1f}" lengthAdjust="spacingAndGlyphs">{escape(text)}</text>')
    print("</svg>")


main()
