"""Types of pictures and files, as clients tell them and as they are."""

from typing import Final

_IMAGE_TYPES: Final = {
    "image/png": "image/png",
    "image/jpeg": "image/jpeg",
    "image/jpg": "image/jpeg",  # not registered, but often sent
    "image/gif": "image/gif",
    "image/webp": "image/webp",
}
# The first bytes of each format, in base64: clients send pictures without or with a wrong media type.
_IMAGE_STARTS: Final = {
    "iVBORw0KGgo": "image/png",
    "/9j/": "image/jpeg",
    "R0lGOD": "image/gif",
    "UklGR": "image/webp",
}


def find_image_type(data: str, told: str | None) -> str | None:
    """The media type of a picture in base64, by its first bytes or else as told; None for a type no model reads."""
    by_content = next((kind for start, kind in _IMAGE_STARTS.items() if data.startswith(start)), None)
    return by_content or _IMAGE_TYPES.get((told or "").lower())
