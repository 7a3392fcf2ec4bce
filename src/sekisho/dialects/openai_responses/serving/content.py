"""Reads the content of messages and of tool outputs: text, pictures and files."""

from typing import Final

from sekisho.core.chat import Citation, Document, Image, Text
from sekisho.core.errors import InvalidRequest, Unsupported
from sekisho.dialects.common.fields import quote, read_name, read_object, read_text, wrong_type
from sekisho.dialects.common.inline import check_base64, check_web_url, is_data_url, read_picture, split_data_url
from sekisho.dialects.openai_responses.names import Json

Content = Text | Image | Document

_PDF: Final = "application/pdf"


def read_content(value: object, path: str) -> list[Content]:
    """A string, or an array of parts: input_text, output_text, refusal, input_image, input_file."""
    if isinstance(value, str):
        return [Text(text=value)]
    if not isinstance(value, list):
        raise wrong_type(value, path, "a string or an array of parts")
    return [_read_part(part, f"{path}[{index}]") for index, part in enumerate(value)]


def read_texts(value: object, path: str) -> list[Text]:
    """Content that may only be text. Raises Unsupported for anything else."""
    texts: list[Text] = []
    for index, part in enumerate(read_content(value, path)):
        if not isinstance(part, Text):
            raise Unsupported(f"`{path}[{index}]`: only text can stand here.", param=f"{path}[{index}]")
        texts.append(part)
    return texts


def _read_part(value: object, path: str) -> Content:
    part = read_object(value, path)
    match part.get("type"):
        case "input_text" | "text" | "summary_text":
            return Text(text=read_text(part.get("text"), f"{path}.text"))
        case "output_text":
            return Text(text=read_text(part.get("text"), f"{path}.text"), citations=_read_annotations(part))
        case "refusal":
            return Text(text=read_text(part.get("refusal"), f"{path}.refusal"))
        case "input_image":
            return _read_image(part, path)
        case "input_file":
            return _read_file(part, path)
        case "input_audio":
            raise Unsupported(f"`{path}`: audio is not supported; send a transcript.", param=path)
        case str(kind):
            known = "input_text, input_image, input_file, output_text and refusal"
            raise InvalidRequest(
                f"`{path}.type`: unknown part type {quote(kind)}; known are {known}.", param=f"{path}.type"
            )
        case other:
            raise wrong_type(other, f"{path}.type", "a string")


def _read_annotations(part: Json) -> list[Citation]:
    """The pages of the web that an answer's text named. Annotations of other kinds point into OpenAI's own stores."""
    annotations = part.get("annotations")
    if not isinstance(annotations, list):
        return []
    cited: list[Citation] = []
    for item in annotations:
        if isinstance(item, dict) and item.get("type") == "url_citation" and isinstance(url := item.get("url"), str):
            title = item.get("title")
            cited.append(Citation(kind="web", url=url, title=title if isinstance(title, str) else None))
    return cited


def _read_image(part: Json, path: str) -> Image:
    if part.get("image_url") is None:
        raise _refuse_id(part, path, "pictures", "image_url")
    return read_picture(read_text(part.get("image_url"), f"{path}.image_url"), f"{path}.image_url")


def _read_file(part: Json, path: str) -> Document:
    given = part.get("filename")
    name = "document" if given is None else read_name(given, f"{path}.filename")
    if part.get("file_url") is not None:
        return Document(
            name=name, url=check_web_url(read_text(part["file_url"], f"{path}.file_url"), f"{path}.file_url")
        )
    if part.get("file_data") is None:
        raise _refuse_id(part, path, "files", "file_data")
    text = read_text(part["file_data"], f"{path}.file_data")
    if is_data_url(text):
        media_type, data = split_data_url(text, f"{path}.file_data")
    else:  # OpenAI takes bare base64, which it documents for PDF
        media_type, data = _PDF, check_base64(text, f"{path}.file_data")
    return Document(name=name, media_type=media_type, data=data)


def _refuse_id(part: Json, path: str, what: str, instead: str) -> InvalidRequest:
    """The error for a part that names a file by an id of OpenAI's store, or names none."""
    if part.get("file_id") is None:
        return wrong_type(None, f"{path}.{instead}", "a string")
    return Unsupported(
        f"`{path}.file_id`: {what} by id are not supported; send the content as `{instead}`.", param=f"{path}.file_id"
    )
