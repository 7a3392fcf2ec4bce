"""YAML text to plain values with places.

YAML 1.1 as PyYAML's `safe_load` understands it, because LiteLLM's users have such files, with these differences:

- a document may end with `...` and the next one begin without `---`; the documents of a file are one configuration;
- keys are taken as text as written, timestamps too, and a key given twice is an error;
- what could exhaust memory or stack (aliases of aliases, deep nesting) is refused.

The tree is built from libyaml's events, since libyaml's own composer recurses on the C stack without a limit.
"""

import re
from collections.abc import Iterator
from typing import Any, Protocol

import yaml

from sekisho.config.places import Document, Path, Place, invalid, show_name

_MAX_DEPTH = 64
_MAX_VALUES = 100_000
_INT64 = 2**63

_DOCUMENT_END = re.compile(r"^\.\.\.(?=\s|\Z)(?!\s*^%)", re.MULTILINE)
_NOT_ALLOWED = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_TAG = "tag:yaml.org,2002:"
_TEXT_TAGS = frozenset({_TAG + "str", _TAG + "timestamp", _TAG + "value", _TAG + "merge"})
# Without libyaml (a platform that has no wheel) PyYAML's own parser gives the same events, only slower.
_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class _Mark(Protocol):
    """What PyYAML calls a mark; line and column count from 0."""

    line: int
    column: int


def read_yaml(text: str, file: str) -> Document:
    """Reads the sections of one file; `file` names it in places. Raises InvalidConfig."""
    if found := _NOT_ALLOWED.search(text):
        line = text.count("\n", 0, found.start()) + 1
        column = found.start() - text.rfind("\n", 0, found.start())
        raise invalid(Place(file, line, column), f"the control character U+{ord(found[0]):04X} is not allowed in YAML")
    document = Document(file)
    composer = _Composer(text, file)
    expander = _Expander(composer, document)
    for root in composer.compose():
        _add_sections(root, composer, expander, document)
    if not document.keys:
        raise invalid(Place(file, 1, 1), "the file is empty: expected sections such as `model_list`")
    return document


def _add_sections(root: yaml.Node, composer: "_Composer", expander: "_Expander", document: Document) -> None:
    """Adds one YAML document's sections to those of the documents before it."""
    if isinstance(root, yaml.ScalarNode) and composer.read_scalar(root) is None:
        return
    if not isinstance(root, yaml.MappingNode):
        kind = "a list" if isinstance(root, yaml.SequenceNode) else "text"
        raise invalid(
            composer.place(root), f"expected sections such as `model_list:` at the top of the file, found {kind}"
        )
    sections = expander.expand_mapping(root, ())
    document.sections.update(sections)


class _Composer:
    """Builds PyYAML nodes from parser events, within limits."""

    def __init__(self, text: str, file: str) -> None:
        self._file = file
        # Same length, so every line and column stays true.
        self._loader = _Loader(_DOCUMENT_END.sub("---", text))
        self._anchors: dict[str, yaml.Node] = {}

    def compose(self) -> Iterator[yaml.Node]:
        """Yields the root of each document. Raises InvalidConfig for text that is not YAML."""
        while True:
            event = self._next_event()
            if isinstance(event, yaml.StreamEndEvent):
                return
            if isinstance(event, yaml.DocumentStartEvent):
                self._anchors = {}
                yield self._node(self._next_event(), 0)

    def place(self, node: yaml.Node) -> Place:
        """Where a node begins."""
        mark: Any = node.start_mark  # never None on a node that was read from text
        return self._place_of(mark)

    def read_scalar(self, node: yaml.Node) -> object:
        """The value of a scalar: None, bool, int, float or str."""
        tag, value = node.tag, node.value
        if tag in _TEXT_TAGS:
            return value
        try:
            if tag == _TAG + "null":
                return None
            if tag == _TAG + "bool":
                return self._loader.construct_yaml_bool(node)
            if tag == _TAG + "float":
                return self._loader.construct_yaml_float(node)
            if tag == _TAG + "int":
                number: int = self._loader.construct_yaml_int(node)
                if not -_INT64 <= number < _INT64:
                    raise invalid(self.place(node), "the number is too large")
                return number
        except (ValueError, KeyError, IndexError, OverflowError):
            raise invalid(self.place(node), f"the value does not fit its tag `!!{tag.removeprefix(_TAG)}`") from None
        raise self._unsupported(node, tag)

    def _unsupported(self, node: yaml.Node, tag: str) -> Exception:
        shown = show_name(tag.replace(_TAG, "!!"))
        return invalid(self.place(node), f"the YAML tag `{shown}` is not supported: write the plain value")

    def _place_of(self, mark: _Mark) -> Place:
        return Place(self._file, mark.line + 1, mark.column + 1)

    def _next_event(self) -> Any:  # of PyYAML's events only some attributes are typed
        try:
            event = self._loader.get_event()
        except yaml.MarkedYAMLError as error:
            problem = error.problem or "it cannot be parsed"
            mark = error.problem_mark or error.context_mark
            place = self._place_of(mark) if mark else Place(self._file, 1, 1)
            context = f" ({error.context}" if error.context else ""
            if context:
                context += f" that begins on line {error.context_mark.line + 1})" if error.context_mark else ")"
            hint = "; indent with spaces, not tabs" if "cannot start any token" in problem else ""
            raise invalid(place, f"this is not valid YAML: {problem}{context}{hint}") from None
        except yaml.YAMLError:
            raise invalid(Place(self._file, 1, 1), "this is not valid YAML") from None
        return event

    def _node(self, event: Any, depth: int) -> yaml.Node:
        start, anchor = event.start_mark, event.anchor
        if isinstance(event, yaml.AliasEvent):
            # An anchor is known only once its node is complete, so a node can never contain itself.
            if anchor not in self._anchors:
                raise invalid(self._place_of(start), f"no complete anchor `&{show_name(anchor)}` before this alias")
            return self._anchors[anchor]
        if depth > _MAX_DEPTH:
            raise invalid(self._place_of(start), f"values are nested more than {_MAX_DEPTH} deep")
        node: yaml.Node
        if isinstance(event, yaml.ScalarEvent):
            node = yaml.ScalarNode(self._tag(event, yaml.ScalarNode), event.value, start)
        elif isinstance(event, yaml.SequenceStartEvent):
            node = yaml.SequenceNode(self._tag(event, yaml.SequenceNode), self._items(depth), start)
        else:
            node = yaml.MappingNode(self._tag(event, yaml.MappingNode), self._pairs(depth), start)
        if anchor is not None:
            self._anchors[anchor] = node
        return node

    def _tag(self, event: Any, kind: type[yaml.Node]) -> str:
        """The tag given or resolved. A list or mapping may have no tag but its own."""
        if event.tag is not None and event.tag != "!":
            tag: str = event.tag
            if kind is not yaml.ScalarNode and tag not in (_TAG + "seq", _TAG + "map"):
                raise self._unsupported(yaml.ScalarNode(tag, "", event.start_mark), tag)
            return tag
        value = event.value if kind is yaml.ScalarNode else None
        resolved: str = self._loader.resolve(kind, value, event.implicit)
        return resolved

    def _items(self, depth: int) -> list[yaml.Node]:
        items: list[yaml.Node] = []
        while not isinstance(event := self._next_event(), yaml.SequenceEndEvent):
            items.append(self._node(event, depth + 1))
        return items

    def _pairs(self, depth: int) -> list[tuple[yaml.Node, yaml.Node]]:
        pairs: list[tuple[yaml.Node, yaml.Node]] = []
        while not isinstance(event := self._next_event(), yaml.MappingEndEvent):
            key = self._node(event, depth + 1)
            pairs.append((key, self._node(self._next_event(), depth + 1)))
        return pairs


class _Expander:
    """Turns nodes into plain values, aliases and merge keys spelled out, and notes the places."""

    def __init__(self, composer: _Composer, document: Document) -> None:
        self._composer = composer
        self._document = document
        self._steps = 0

    def expand_mapping(self, node: yaml.MappingNode, path: Path) -> dict[str, object]:
        """The mapping at `path`. Raises InvalidConfig for keys that are given twice or are not plain."""
        mapping: dict[str, object] = {}
        for name, (key, value) in self._pairs(node).items():
            here = (*path, name)
            if here in self._document.keys:
                raise self._given_twice(name, self._document.keys[here], self._composer.place(key))
            self._document.keys[here] = self._composer.place(key)
            mapping[name] = self._expand(value, here)
        return mapping

    def _expand(self, node: yaml.Node, path: Path) -> object:
        self._count(node)
        if len(path) > _MAX_DEPTH:
            raise invalid(self._composer.place(node), f"values are nested more than {_MAX_DEPTH} deep")
        self._document.values[path] = self._composer.place(node)
        if isinstance(node, yaml.MappingNode):
            return self.expand_mapping(node, path)
        if isinstance(node, yaml.SequenceNode):
            return [self._expand(item, (*path, index)) for index, item in enumerate(node.value)]
        return self._composer.read_scalar(node)

    def _pairs(self, node: yaml.MappingNode) -> dict[str, tuple[yaml.Node, yaml.Node]]:
        """The pairs of a mapping by key, those of its merge keys (`<<`) after its own, which win."""
        pairs: dict[str, tuple[yaml.Node, yaml.Node]] = {}
        sources: list[yaml.MappingNode] = []
        for key, value in node.value:
            self._count(key)
            if not isinstance(key, yaml.ScalarNode):
                raise invalid(self._composer.place(key), "expected a plain name as key, found a list or mapping")
            if key.tag == _TAG + "merge":
                sources.extend(self._merged(value))
            elif key.value in pairs:
                first = self._composer.place(pairs[key.value][0])
                raise self._given_twice(key.value, first, self._composer.place(key))
            else:
                pairs[key.value] = (key, value)
        for source in sources:
            self._count(source)
            for name, pair in self._pairs(source).items():
                pairs.setdefault(name, pair)
        return pairs

    def _merged(self, value: yaml.Node) -> list[yaml.MappingNode]:
        """The mappings that a merge key takes in, the first of which wins."""
        nodes = value.value if isinstance(value, yaml.SequenceNode) else [value]
        for node in nodes:
            if not isinstance(node, yaml.MappingNode):
                raise invalid(self._composer.place(node), "expected a mapping, or a list of mappings, after `<<`")
        return list(nodes)

    def _count(self, node: yaml.Node) -> None:
        self._steps += 1
        if self._steps > _MAX_VALUES:
            raise invalid(
                self._composer.place(node), f"more than {_MAX_VALUES} values, with aliases and merge keys spelled out"
            )

    def _given_twice(self, name: str, first: Place, second: Place) -> Exception:
        return invalid(second, f"`{show_name(name)}` is given twice: on line {first.line} and on line {second.line}")
