"""mkdocs hook: what may be wider than a small window, tables and code, scrolls by itself and can be reached by keyboard."""

import re


def on_page_content(html, **_):
    html = re.sub(r"<table>.*?</table>", lambda table: f'<div class="wide" tabindex="0">{table[0]}</div>', html, flags=re.DOTALL)
    return re.sub(r"<pre\b(?![^>]*tabindex)", '<pre tabindex="0"', html)
