"""Reading the configuration anew."""

from sekisho.control.services.context import Services
from sekisho.control.services.views import View
from sekisho.core.errors import ConfigError, InvalidRequest
from sekisho.identity.preparing import find_absent_budget


async def reload_configuration(services: Services) -> View:
    """Let the files of the configuration count anew, here at once and in other processes in a moment; it is audited.

    Raises:
        InvalidRequest: they cannot be used; with file, line, key and what is wrong. What was in use stays in use.
        StoreUnavailable: the files count, but that could not be put into the audit trail. Do it again.
    """
    before = sorted(services.worlds.snapshot.groups)
    try:
        reloaded = await services.reloader.reload()
    except ConfigError as error:
        raise InvalidRequest(f"The configuration cannot be used, so nothing has changed. {error}") from error
    status, models = "reloaded" if reloaded.changed else "unchanged", sorted(services.worlds.snapshot.groups)
    after = {"models": models, "status": status}
    await services.store.audit.note("configuration", "files", before={"models": before}, after=after)
    warnings = [f"{finding.where}: {finding.message}" for finding in reloaded.findings]
    if absent := await find_absent_budget(services.store, services.worlds.files.end_user_budget_id):
        warnings.append(absent)
    return {"status": status, "models": models, "warnings": warnings}
