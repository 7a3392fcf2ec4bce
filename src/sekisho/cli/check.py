"""`sekisho check`: what is wrong with a configuration, without starting anything."""

import os
import sys
from pathlib import Path

from sekisho.assembly import resolve
from sekisho.config import Examination, examine
from sekisho.core.clock import SystemClock
from sekisho.core.target import ProviderEnvironment


def check(file: Path, strict: bool) -> int:
    """Prints every finding as `file:line:column: level: message`, and a last line that sums up.

    Returns the exit status: 0 when the gateway would start with this file, 1 when not. With `strict`, warnings are
    errors.
    """
    examination = examine(file, os.environ)
    findings = list(examination.findings)
    if examination.loaded is not None:
        findings += resolve(examination.loaded.snapshot, ProviderEnvironment(clock=SystemClock()))[1]
    errors = warnings = 0
    for finding in findings:
        level = "error" if strict else finding.level
        errors += level == "error"
        warnings += level == "warning"
        print(f"{finding.where}: {level}: {finding.message}", file=sys.stderr)
    print(f"{file}: {_sum_up(examination)}{_count(errors, 'error')}, {_count(warnings, 'warning')}")
    return 1 if errors else 0


def _sum_up(examination: Examination) -> str:
    if examination.loaded is None:
        return ""
    snapshot = examination.loaded.snapshot
    deployments = _count(len(snapshot.deployments), "deployment")
    return f"{deployments} of {_count(len(snapshot.groups), 'model')}; "


def _count(number: int, thing: str) -> str:
    return f"{number} {thing}" if number == 1 else f"{number} {thing}s"
