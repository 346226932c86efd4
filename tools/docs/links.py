"""mkdocs hook: a link to a file outside docs/ becomes the file's path, since the pages stand alone."""

import re
from pathlib import Path

LINK = re.compile(r"(?<!!)\[([^\]]*)\]\((\.\./[^)#\s]+)(#[^)\s]*)?\)")


def on_page_markdown(markdown, page, config, **_):
    docs = Path(config["docs_dir"])
    root = docs.parent

    def path(link):
        text, target = link[1], (docs / page.file.src_path).parent / link[2]
        if not target.exists():
            raise SystemExit(f"{page.file.src_path}: no such file: {link[2]}")
        name = target.resolve().relative_to(root.resolve())
        return f"`{name}`" if text.strip("`") in (str(name), name.name) else f"{text} (`{name}`)"

    return LINK.sub(path, markdown)
