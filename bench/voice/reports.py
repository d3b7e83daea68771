# SPDX-License-Identifier: Apache-2.0
"""What the assistant itself says about its turns: stage times and answers, from its dialogs."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from va_logger.dialog_files import dialog_ids, read_dialog
from voice.figures import spread, Wait

STAGES = ('endpoint_decided', 'final_text', 'first_token', 'first_synthesised', 'first_audio')
NEAR_S = 2.0
"""A report is that of a turn whose speech ended as near as this."""


def records(log_dir: Path, role: str) -> list[dict[str, Any]]:
    """All records of a role, ``LATENCY`` or ``ASSISTANT``, oldest first."""
    folder = log_dir / 'dialogs'
    return [record for dialog_id in dialog_ids(folder)
            for record in read_dialog(folder, dialog_id).of_role(role)]


def stages(latency: Iterable[dict[str, Any]]) -> dict[str, Any]:
    """Milliseconds from the end of the speech to each stage, as the turn reports have it."""
    data = [record['data'] for record in latency if record.get('data', {}).get('first_audio')]
    return {stage: spread((d[stage] - d['speech_end']) * 1e3 for d in data if d.get(stage))
            for stage in STAGES}


def gaps(answers: Iterable[dict[str, Any]]) -> dict[str, Any]:
    """The longest silence inside each answer because its next words were not ready, in ms.

    The pauses that belong to sentences and commas are no part of it.
    """
    told = (record['data'].get('longest_gap_ms') for record in answers
            if record['data'].get('outcome') == 'answered')
    return spread(gap_ms for gap_ms in told if gap_ms is not None)


def disagreement(found: Iterable[Wait], latency: Iterable[dict[str, Any]]) -> dict[str, Any]:
    """Turn report minus recording, in milliseconds: of both ends of the wait.

    The report has what the voice detector took for the end of the speech, and the first sample
    of the reply's sound, which may be too soft to be audible.
    """
    reports = [data for record in latency if (data := record.get('data', {})).get('first_audio')]
    ends, starts = [], []
    for wait in found:
        near = [data for data in reports if abs(data['speech_end'] - wait.end_s) < NEAR_S]
        if wait.outcome == 'answered' and wait.line.kind == 'question' and near:
            ends.append((near[0]['speech_end'] - wait.end_s) * 1e3)
            starts.append((near[0]['first_audio'] - wait.heard_s) * 1e3)
    return {'speech_end': spread(ends), 'first_audio': spread(starts)}
