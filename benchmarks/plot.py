"""Bars as SVG, written by hand: no plotting library is worth its weight for one picture."""

from __future__ import annotations

from html import escape

from benchmarks.figures import Figure, number

_ROW, _BAR, _LEFT, _WIDTH, _RIGHT = 26, 16, 250, 460, 110
_COLOURS = {"ours": "#2f6f9f", "over": "#b5482f", "peer": "#9a9a9a"}
_STYLE = (
    "text{font:13px system-ui,sans-serif;fill:#333}.dim{fill:#777}"
    "@media(prefers-color-scheme:dark){text{fill:#ddd}.dim{fill:#999}}"
)


def bars(title: str, figures: list[Figure]) -> str:
    """Medians as bars, the span from minimum to maximum as a line, the budget as a tick."""
    top = max(max(f.values) for f in figures)
    top = max(top, *(f.budget or 0.0 for f in figures)) or 1.0
    height = 48 + _ROW * len(figures)
    width = _LEFT + _WIDTH + _RIGHT
    rows = [_row(f, 40 + _ROW * i, _WIDTH / top) for i, f in enumerate(figures)]
    return "\n".join((
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img">',
        f"<title>{escape(title)}</title><style>{_STYLE}</style>",
        f'<text x="8" y="22" font-weight="600">{escape(title)}</text>',
        *rows,
        "</svg>\n",
    ))  # fmt: skip


def _row(figure: Figure, y: int, scale: float) -> str:
    ours = "spanlint" in figure.name
    colour = _COLOURS["over" if ours and figure.verdict == "over" else "ours" if ours else "peer"]
    middle = figure.middle * scale
    low, high = min(figure.values) * scale, max(figure.values) * scale
    base = y + _BAR / 2
    parts = [
        f'<text x="{_LEFT - 8}" y="{y + 13}" text-anchor="end">{escape(figure.name)}</text>',
        f'<rect x="{_LEFT}" y="{y}" width="{middle:.1f}" height="{_BAR}" fill="{colour}"/>',
        f'<path d="M{_LEFT + low:.1f} {base}H{_LEFT + high:.1f}" stroke="#111" opacity=".5"/>',
    ]
    if figure.budget is not None:
        at = _LEFT + figure.budget * scale
        parts.append(f'<path d="M{at:.1f} {y - 3}v{_BAR + 6}" stroke="#c90" stroke-width="2"/>')
    end = _LEFT + max(middle, high) + 8
    label = f"{number(figure.middle)} {escape(figure.unit)}"
    parts.append(f'<text class="dim" x="{end:.1f}" y="{y + 13}">{label}</text>')
    return "".join(parts)
