"""A bar chart as SVG: for each row a group of bars, one for each engine, and the machine's peak as a line."""

from xml.sax.saxutils import escape

COLORS = {
    "octet": "#e8590c",
    "onednn": "#1c7ed6",
    "onnx_runtime": "#37b24d",
    "onnx_runtime_exact": "#94d82d",
    "pytorch": "#ae3ec9",
    "openblas": "#868e96",
}
# Text and lines follow the reader's theme.
STYLE = """text{font:12px system-ui,sans-serif;fill:#212529}.peak{stroke:#212529;stroke-dasharray:4 3}
@media(prefers-color-scheme:dark){text{fill:#e9ecef}.peak{stroke:#e9ecef}}
text.figure{font-size:9px}text.inside{fill:#fff;text-anchor:end}"""
LEFT, WIDTH, TOP = 170, 470, 56
BAR, GAP = 11, 10


def picture(title, results, titles):
    """titles: the engines' names for people, in the order of their bars."""
    fastest = max(e["speed"] for r in results for e in r["engines"].values())
    peak = max(r["peak"] or 0 for r in results)
    # Work far below the peak (depthwise) is compared with itself: the line would leave the bars no room.
    with_peak = 0 < peak < 4 * fastest
    scale = WIDTH / (max(peak, fastest) if with_peak else fastest)
    parts, y = [], TOP
    for result in results:
        middle = y + len(titles) * BAR / 2 + 4
        parts.append(f'<text x="{LEFT - 8}" y="{middle:.0f}" text-anchor="end">{escape(result["name"])}</text>')
        for i, name in enumerate(titles):
            if engine := result["engines"].get(name):
                parts.append(bar(y + i * BAR, engine["speed"], scale, COLORS[name], engine["wrong"]))
        height = len(titles) * BAR
        if with_peak:
            x = LEFT + result["peak"] * scale
            parts.append(f'<line class="peak" x1="{x:.1f}" y1="{y - 2}" x2="{x:.1f}" y2="{y + height + 1}"/>')
        y += height + GAP
    legend = LEFT
    for name, text in titles.items():
        parts.append(f'<rect x="{legend}" y="30" width="10" height="10" fill="{COLORS[name]}"/>')
        parts.append(f'<text x="{legend + 14}" y="39">{escape(text)}</text>')
        legend += 30 + 7 * len(text)
    if with_peak:
        parts.append(f'<line class="peak" x1="{legend + 4}" y1="28" x2="{legend + 4}" y2="42"/>')
        parts.append(f'<text x="{legend + 12}" y="39">peak</text>')
    # Letters are about so wide; the title's are bold.
    width = max(LEFT + WIDTH + 60, legend + 50, 16 + 7.5 * len(title))
    size = f'width="{width:.0f}" height="{y + 4}"'
    head = f'<text x="8" y="16" font-weight="bold">{escape(title)}</text>'
    return f'<svg xmlns="http://www.w3.org/2000/svg" {size}>\n<style>{STYLE}</style>\n{head}\n' + "\n".join(parts) + "\n</svg>\n"


def bar(y, speed, scale, color, wrong):
    """Its figure stands inside where there is room; wrong results are drawn pale."""
    width = speed * scale
    text = figure_text(speed) + (f" ✗ {max(wrong, 0.01):.0%} wrong" if wrong else "")
    inside = width > 90 if wrong else width > 30
    look, x = ("figure inside", LEFT + width - 3) if inside else ("figure", LEFT + width + 3)
    pale = ' fill-opacity="0.6"' if wrong else ""
    rectangle = f'<rect x="{LEFT}" y="{y}" width="{width:.1f}" height="{BAR - 1}" fill="{color}"{pale}/>'
    return f'{rectangle}<text class="{look}" x="{x:.1f}" y="{y + BAR - 3}">{text}</text>'


def figure_text(speed):
    return f"{speed:.0f}" if speed >= 20 else f"{speed:.1f}"
