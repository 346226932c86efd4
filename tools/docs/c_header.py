"""mkdocs hook: where a page has the line <!-- header FILE -->, it gets what FILE, a C header of ours, declares and says.

As a program it prints that for the header that it is given.
"""

import re
import sys
import textwrap
from dataclasses import dataclass, field
from pathlib import Path

MARK = re.compile(r"^<!-- header (\S+) -->$", re.MULTILINE)
SKIPPED = re.compile(r"^#(?:ifndef|ifdef|if|endif|include)\b.*\n|^#define \w+\n|^extern \"C\" \{\n|^\}\n(?=#endif)", re.MULTILINE)
DEFINE = re.compile(r"^#define (\w+) .+$", re.MULTILINE)
PIECE = re.compile(r"/\*.*?\*/|(?:(?!/\*).)+", re.DOTALL)


@dataclass
class Group:
    """Members of a struct or an enum that stand together: up to an empty line, or to the next comment."""

    about: str = ""
    members: list = field(default_factory=list)  # [code, what stands behind it]


@dataclass
class Declaration:
    about: str
    code: str = ""
    groups: list = field(default_factory=lambda: [Group()])

    @property
    def name(self):
        if define := DEFINE.match(self.code):
            return define[1]
        head = re.sub(r"\{.*\}", "", self.code, flags=re.DOTALL)
        return re.search(r"(\w+)\s*(?:\(.*\))?\s*;$", head, re.DOTALL)[1]

    @property
    def is_enum(self):
        return "enum" in self.code.partition("{")[0].split()

    @property
    def end(self):
        """What ends a member."""
        return "," if self.is_enum else ";"

    @property
    def members(self):
        return [member for group in self.groups for member in group.members]


def words(comment):
    """A comment without its stars."""
    lines = [re.sub(r"^\s*\* ?", "", line.rstrip()) for line in comment[2:-2].strip().split("\n")]
    return "\n".join(lines).strip()


class Reader:
    """Takes a header apart: its first comment, and its declarations with the comments that belong to them."""

    def __init__(self, text):
        self.intro, self.about, self.found, self.now, self.depth = None, "", [], None, 0
        code = ""
        for piece in PIECE.findall(DEFINE.sub(lambda line: line[0] + ";", SKIPPED.sub("", text))):
            if piece.startswith("/*"):
                self.comment(words(piece), leads=not code.rpartition("\n")[2].strip())
            else:
                self.code(piece)
            code = piece

    def comment(self, text, leads):
        if self.intro is None:
            self.intro = text
        elif self.depth == 0:
            self.about = text
        elif leads:
            self.now.groups.append(Group(text))
        else:
            self.now.groups[-1].members[-1][1] = text

    def code(self, text):
        for k, line in enumerate(re.split(r"(?<=\n)", text)):
            empty = line == "\n" and k > 0  # the first is what is left of the comment's line
            if empty and self.depth == 1 and self.now.groups[-1].members:
                self.now.groups.append(Group())
            for c in line:
                self.character(c)
            if self.depth == 1 and self.now.is_enum:
                self.member()

    def character(self, c):
        if self.now is None:
            if c.isspace():
                return
            self.now, self.about, self.statement = Declaration(self.about), "", ""
        self.now.code += c
        before, self.depth = self.depth, self.depth + (c in "{(") - (c in "})")
        if before == 0 and c == ";":
            self.now.code = self.now.code.removesuffix(";") if self.now.code.startswith("#") else self.now.code
            self.found.append(self.now)
            self.now = None
        elif before == 1 and c == self.now.end:
            self.member()
        elif self.depth >= 1 and not (before == 0 and c == "{"):
            self.statement += c

    def member(self):
        """A member is whole: behind its semicolon or comma, and the last of an enum behind its line."""
        if code := " ".join(self.statement.split()):
            self.now.groups[-1].members.append([code, ""])
            self.statement = ""


def text_of(comment):
    """A comment as Markdown. Lines that are set in go on with the sentence before them; behind a whole sentence, or a
    colon, they are a table and stay as they were written. "word: …" at the start of several lines makes a list."""
    made, block = [], []
    for line in [*comment.split("\n"), ""]:
        if re.match(r"  +\S", line) and (block or made[-1][-1:] in (".", ":", "")):
            block.append(line)
            continue
        if block:
            made += ["", "```", *textwrap.dedent("\n".join(block)).split("\n"), "```", ""]
            block = []
        made.append(line.strip().replace("*", r"\*"))
    text = "\n".join(made).strip()
    item = re.compile(r"^(\w+): ", re.MULTILINE)
    return item.sub(r"- `\1`: ", item.sub(r"\n\g<0>", text, count=1)) if len(item.findall(text)) > 1 else text


def whole(declarations):
    """The declarations, each once: a struct takes what is said where its name is declared before."""
    found = {}
    for each in declarations:
        earlier = found.pop(each.name, None)
        if earlier is not None and not each.about:
            each.about = earlier.about
        found[each.name] = each
    return list(found.values())


def group_text(group, end):
    if not group.members:
        return []
    if group.about or not any(behind for _, behind in group.members):
        code = "\n".join(code + end for code, _ in group.members)
        return ["", f"```c\n{code}\n```", "", text_of(group.about)]
    return ["", *(f"- `{code}`" + (f": {' '.join(behind.split())}" if behind else "") for code, behind in group.members)]


def markdown(text):
    """The page's part for a header."""
    reader = Reader(text)
    made = [text_of(reader.intro)]
    for each in whole(reader.found):
        made += ["", f"## {each.name}", ""]
        if not each.members:
            made += [f"```c\n{each.code}\n```", ""]
        made.append(text_of(each.about))
        for group in each.groups:
            made += group_text(group, each.end)
    return re.sub(r"\n{3,}", "\n\n", "\n".join(made))


def on_page_markdown(text, page, config, **_):
    root = Path(config["docs_dir"]).parent
    return MARK.sub(lambda mark: markdown((root / mark[1]).read_text()), text)


if __name__ == "__main__":
    print(markdown(Path(sys.argv[1]).read_text()))
