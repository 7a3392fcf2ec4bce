"""What of a request cannot be carried: refused where dropping it would change the meaning, else dropped and named."""

from sekisho.core.errors import Unsupported


class Omissions:
    """Gathers the names of the client's fields that are left out of one request.

    drop_params: drop what would be refused otherwise.
    """

    def __init__(self, *, drop_params: bool) -> None:
        self._drop_params = drop_params
        self._fields: dict[str, None] = {}

    def drop(self, field: str) -> None:
        """Leave out a field whose absence does no harm."""
        self._fields[field] = None

    def refuse(self, field: str, reason: str) -> None:
        """Refuse the request for a field that matters; with drop_params, leave the field out.

        Args:
            field: The client's name of the field.
            reason: A sentence that says why the model cannot take it.

        Raises:
            Unsupported: Without drop_params.
        """
        if not self._drop_params:
            raise Unsupported(f"{reason} Leave out `{field}`, or allow dropping with drop_params.", param=field)
        self.drop(field)

    def begin_anew(self) -> "Omissions":
        """The same rule, and nothing gathered yet."""
        return Omissions(drop_params=self._drop_params)

    @property
    def fields(self) -> tuple[str, ...]:
        """The names of what was left out, in the order met."""
        return tuple(self._fields)
