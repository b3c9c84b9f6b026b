"""Record `report.gif`, the report with the pointer moving over its latent planes, in Chromium.

python docs/figures/report.py reports/index.html docs/figures/report.gif
"""

import io
import sys
from math import cos, pi, sin
from pathlib import Path

from PIL import Image
from playwright.sync_api import sync_playwright

WIDTH, HEIGHT = 1240, 432
FRAMES = 40
COLOURS = 255


def main(page: Path, out: Path) -> None:
    """Move over the last plane in a loop, and write a picture of the window for each step."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox"])
        tab = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT})
        tab.goto(page.resolve().as_uri())
        plane = tab.locator(".codes").last
        plane.evaluate("plane => plane.scrollIntoView({block: 'end', behavior: 'instant'})")
        box = plane.bounding_box()
        assert box is not None
        frames = []
        for number in range(FRAMES):
            turn = 2 * pi * number / FRAMES
            x = box["x"] + box["width"] * (0.53 + 0.2 * cos(turn))
            y = box["y"] + box["height"] * (0.47 + 0.22 * sin(2 * turn))
            tab.mouse.move(x, y)
            tab.wait_for_timeout(80)
            frames.append(Image.open(io.BytesIO(tab.screenshot())).convert("RGB"))
        browser.close()
    palette = frames[0].quantize(COLOURS, method=Image.Quantize.MAXCOVERAGE, kmeans=1)
    images = [frame.quantize(palette=palette, dither=Image.Dither.NONE) for frame in frames]
    images[0].save(out, save_all=True, append_images=images[1:], duration=160, loop=0, optimize=True)


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
