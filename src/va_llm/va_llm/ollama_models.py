# SPDX-License-Identifier: Apache-2.0
"""The model on an Ollama server that a Modelfile asks for: there already, or derived once."""

from __future__ import annotations

import asyncio
import hashlib
import json
from pathlib import Path
import re
from typing import Any, Final

from va_common.errors import AssistantError, ErrorCode
from va_llm.modelfile_loader import Modelfile

HTTP_OK: Final = 200
_BLOCK: Final = 1 << 20


async def prepare_model(client: Any, modelfile: Modelfile, model: str) -> str:
    """Make sure that the server can answer as the Modelfile says.

    Args:
        client: an ``ollama.AsyncClient``.
        modelfile: TEMPLATE, ADAPTER, REQUIRES and a FROM that is a file are obeyed here.
        model: model to use in the place of FROM; empty: FROM.

    Returns:
        The model's name on the server.

    Raises:
        AssistantError: UNAVAILABLE for a server older than REQUIRES, MODEL_MISSING for a file.
        Exception: whatever the client raises.
    """
    if modelfile.requires:
        await _check_version(client, modelfile.requires)
    base = model or modelfile.base
    if not model and is_file(base):
        return await _derive(client, modelfile, base)
    await client.show(base)
    if modelfile.template or modelfile.adapter:
        return await _derive(client, modelfile, base)
    return base


def is_file(base: str) -> bool:
    """Whether a FROM names a file rather than a model of the library."""
    return base.endswith('.gguf') or base.startswith(('/', './', '../', '~'))


def parse_version(text: str) -> tuple[int, ...]:
    """``v0.14.0-rc1`` as (0, 14, 0)."""
    return tuple(int(n) for n in re.findall(r'\d+', text.split('-')[0].split('+')[0]))


async def _check_version(client: Any, required: str) -> None:
    # ollama.AsyncClient has no call for /api/version.
    response = await client._client.get('/api/version')
    version = str(response.json().get('version', ''))
    # A build from source calls itself 0.0.0.
    if parse_version(version) not in ((), (0, 0, 0)) and \
            parse_version(version) < parse_version(required):
        message = f'Ollama {version}: the Modelfile REQUIRES {required} or newer'
        raise AssistantError(ErrorCode.UNAVAILABLE, message)


async def _derive(client: Any, modelfile: Modelfile, base: str) -> str:
    fields: dict[str, Any] = {}
    if is_file(base):
        fields['files'] = await _upload(client, modelfile.resolve(base), 'FROM')
    else:
        fields['from_'] = base
    if modelfile.adapter:
        fields['adapters'] = await _upload(client, modelfile.resolve(modelfile.adapter), 'ADAPTER')
    if modelfile.template:
        fields['template'] = modelfile.template
    digest = hashlib.sha256(json.dumps(fields, sort_keys=True).encode()).hexdigest()
    name = f'va-{digest[:12]}'
    listed = await client.list()
    if name not in {str(m.model).removesuffix(':latest') for m in listed.models}:
        await client.create(model=name, **fields)
    return name


async def _upload(client: Any, path: Path, what: str) -> dict[str, str]:
    if not path.is_file():
        message = f'{what} {path}: no such file; expected a .gguf file'
        raise AssistantError(ErrorCode.MODEL_MISSING, message)
    digest = await asyncio.to_thread(_digest, path)
    # To an upload of what it has, Ollama answers before the end and cuts the connection.
    known = await client._client.head(f'/api/blobs/{digest}')
    if known.status_code != HTTP_OK:
        await client.create_blob(path)
    return {path.name: digest}


def _digest(path: Path) -> str:
    with path.open('rb') as file:
        total = hashlib.sha256()
        while block := file.read(_BLOCK):
            total.update(block)
    return f'sha256:{total.hexdigest()}'
