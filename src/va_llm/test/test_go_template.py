# SPDX-License-Identifier: Apache-2.0
"""Templates: what Ollama's own library writes with them, and what is refused."""

import pytest

from va_common.errors import AssistantError, ErrorCode
from va_llm.chat_prompt import merge_roles, PromptTemplate
from va_llm.engine import ChatMessage
from va_llm.go_template import execute, parse_template

TALK = (ChatMessage('system', 'SYS'), ChatMessage('user', 'one'),
        ChatMessage('assistant', 'ONE'), ChatMessage('user', 'two'))

CHATML = """{{ if .System }}<|im_start|>system
{{ .System }}<|im_end|>
{{ end }}{{ if .Prompt }}<|im_start|>user
{{ .Prompt }}<|im_end|>
{{ end }}<|im_start|>assistant
{{ .Response }}<|im_end|>
"""
CHATML_MESSAGES = """{{- range .Messages }}<|im_start|>{{ .Role }}
{{ .Content }}<|im_end|>
{{ end }}<|im_start|>assistant
"""
CHATML_TEXT = ('<|im_start|>system\nSYS<|im_end|>\n<|im_start|>user\none<|im_end|>\n'
               '<|im_start|>assistant\nONE<|im_end|>\n<|im_start|>user\ntwo<|im_end|>\n'
               '<|im_start|>assistant\n')
# template/gemma-instruct.gotmpl of Ollama
GEMMA = """{{- range $i, $_ := .Messages }}x{{ end }}"""
LLAMA2 = """[INST] {{ if .System }}<<SYS>>
{{ .System }}
<</SYS>>

{{ end }}{{ .Prompt }} [/INST]"""


@pytest.mark.parametrize('source', [CHATML, CHATML_MESSAGES])
def test_chatml(source):
    assert PromptTemplate(source).render(TALK) == CHATML_TEXT


def test_a_template_without_response_goes_on_after_the_prompt():
    text = PromptTemplate(LLAMA2).render(TALK)
    assert text == '[INST] <<SYS>>\nSYS\n<</SYS>>\n\none [/INST]ONE[INST] two [/INST]'


@pytest.mark.parametrize(('source', 'expected'), [
    ('a {{- " b " -}} c', 'a b c'),
    ('{{/* note */}}x', 'x'),
    ('{{ .Nothing }}x', 'x'),
    ('{{ if .A }}a{{ else if .B }}b{{ else }}c{{ end }}', 'b'),
    ('{{ if not .A }}x{{ end }}', 'x'),
    ('{{ if and .B (eq .B "yes") }}x{{ end }}', 'x'),
    ('{{ if or .A .B }}{{ .B }}{{ end }}', 'yes'),
    ('{{ if ne .B "no" }}x{{ end }}', 'x'),
    ('{{ if .A }}a{{ else }}{{ if .B }}b{{ end }}c{{ end }}d', 'bcd'),
    ('{{ range .Messages }}{{ if eq .Role "user" }}{{ .Content }}{{ $.B }};{{ end }}{{ end }}',
     'hiyes;'),
    ('{{ range .Nothing2 }}a{{ end }}', None),
    ('{{ `raw` }}{{ "a\\n" }}', 'rawa\n'),
])
def test_language(source, expected):
    root = {'A': '', 'B': 'yes', 'Messages': [{'Role': 'user', 'Content': 'hi'},
                                              {'Role': 'assistant', 'Content': 'ho'}]}
    if expected is None:
        with pytest.raises(AssistantError):
            parse_template(source)
    else:
        assert execute(parse_template(source), root) == expected


@pytest.mark.parametrize(('source', 'named'), [
    (GEMMA, 'range'), ('{{ json .Tools }}', 'json'), ('{{ $x := 1 }}', r'\$x'),
    ('{{ with .System }}x{{ end }}', 'with'), ('{{ .System | printf }}', 'System'),
    ('{{ if .A }}x', 'without end'), ('x{{ end }}', 'end without'), ('{{ else }}', 'else'),
    ('{{ .System', 'unclosed'), ('{{ if (and .A .B }}x{{ end }}', 'unclosed'),
    ('{{ eq .A }}', 'eq with 1'), ('{{ }}', 'empty'), ('{{ "open }}', 'open'),
])
def test_what_needs_all_of_go_is_refused(source, named):
    with pytest.raises(AssistantError, match=named) as caught:
        PromptTemplate(source, 'Modelfile: TEMPLATE')
    assert caught.value.code == ErrorCode.INVALID_ARGUMENT
    assert 'leave TEMPLATE out' in caught.value.message


def test_neighbours_of_one_role_are_joined():
    merged = merge_roles([ChatMessage('user', 'a'), ChatMessage('user', 'b'),
                          ChatMessage('assistant', 'c')])
    assert merged == [ChatMessage('user', 'a\n\nb'), ChatMessage('assistant', 'c')]
