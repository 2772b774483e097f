"""Pictures that follow the page's choice of a light or a dark background.

An image in SVG that is named in `inline_pictures` becomes a part of the page, so that the style
sheet of the site reaches it. It keeps its own title and description. On a narrow page it can be
scrolled. One that moves has a box to pause it. Other images are loaded when they are about to be
seen.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.transforms import SphinxTransform

_PAUSE = '<label class="pause"><input type="checkbox"> Pause</label>'


class Pictures(SphinxTransform):
    """Replaces images by their source, and has the others loaded late."""

    default_priority = 300

    def apply(self, **_: Any) -> None:
        """Replace the images of a page."""
        if self.app.builder.format != "html":
            return
        for image in list(self.document.findall(nodes.image)):
            image["loading"] = "lazy"
            relative, file = self.env.relfn2path(str(image["uri"]))
            if relative in self.config.inline_pictures:
                self.env.note_dependency(relative)
                image.replace_self(self._inline(image, Path(file)))

    @staticmethod
    def _inline(image: nodes.image, file: Path) -> nodes.Element:
        source = file.read_text(encoding="utf-8")
        label = str(image["alt"]).replace('"', "&quot;")
        # What scrolls must be reached by the keyboard, and have a name.
        frame = f'<span class="picture" role="group" tabindex="0" aria-label="{label}">'
        pause = _PAUSE if "@keyframes" in source else ""
        return nodes.raw("", f"{frame}\n{source}</span>{pause}", format="html")


def setup(app: Sphinx) -> dict[str, bool]:
    """Add the transform and its setting."""
    app.add_config_value("inline_pictures", [], "env", list)
    app.add_transform(Pictures)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
