# SPDX-License-Identifier: Apache-2.0
"""The Modelfile: everything of Ollama's grammar, one clear error per mistake, round trip."""

from pathlib import Path

import pytest

from va_common.errors import AssistantError, ErrorCode
from va_llm.engine import ChatMessage
from va_llm.modelfile_loader import load, ModelfileError, parse
from va_llm.modelfile_parameters import PARAMETERS

REPOSITORY = Path(__file__).resolve().parents[3]


def problems(text):
    with pytest.raises(ModelfileError) as caught:
        parse(text, 'x/Modelfile')
    assert caught.value.code == ErrorCode.INVALID_ARGUMENT
    return caught.value.message.split('\n')


def test_all_instructions():
    modelfile = parse('''
# a comment
FROM llama3.2:3b
PARAMETER temperature 0.7
PARAMETER num_ctx 4096
PARAMETER stop "<|im_end|>"
PARAMETER stop "a b"
PARAMETER use_mmap true
SYSTEM """You are "Jarvis".
Be short."""
TEMPLATE """{{ .System }} {{ .Prompt }}"""
MESSAGE user Is Toronto in Canada?
MESSAGE assistant yes
ADAPTER ./lora.gguf
LICENSE MIT
LICENSE """
more
"""
REQUIRES 0.14.0
''', '/models/Modelfile')
    assert modelfile.base == 'llama3.2:3b'
    assert modelfile.parameters == {
        'temperature': 0.7, 'num_ctx': 4096, 'use_mmap': True, 'stop': ['<|im_end|>', 'a b']}
    assert modelfile.system == 'You are "Jarvis".\nBe short.'
    assert modelfile.template == '{{ .System }} {{ .Prompt }}'
    assert modelfile.messages == (
        ChatMessage('user', 'Is Toronto in Canada?'), ChatMessage('assistant', 'yes'))
    assert modelfile.adapter == './lora.gguf'
    assert modelfile.resolve(modelfile.adapter) == Path('/models/lora.gguf')
    assert modelfile.requires == '0.14.0'
    assert modelfile.prefix[0] == ChatMessage('system', modelfile.system)
    assert modelfile.warnings == []


@pytest.mark.parametrize(('line', 'expected'), [
    ('SYSTEM be short', 'be short'),
    ('system be short', 'be short'),
    ('SyStEm   be short  ', 'be short'),
    ('\t SYSTEM\tbe short', 'be short'),
    ('SYSTEM "be short"', 'be short'),
    ('SYSTEM " be short "', ' be short '),
    ('SYSTEM "be\nshort"', 'be\nshort'),
    ('SYSTEM """be short"""', 'be short'),
    ('SYSTEM """be\r\nshort"""', 'be\nshort'),
    ('SYSTEM """\nbe\n\n# short\n"""', '\nbe\n\n# short\n'),
    ('SYSTEM """say "hi""""', 'say "hi"'),
    ('SYSTEM """a """ b"""', 'a """ b'),
    ('SYSTEM be # short', 'be # short'),
    ('SYSTEM ""', ''),
    ('SYSTEM """"""', ''),
    ('SYSTEM', ''),
    ("SYSTEM 'quoted'", "'quoted'"),
    ('SYSTEM first\nSYSTEM second', 'second'),
])
def test_values(line, expected):
    assert parse(f'{line}\nFROM x').system == expected


@pytest.mark.parametrize(('text', 'line'), [
    ('FROM x\nFOO bar',
     "x/Modelfile:2: unknown instruction 'FOO'; expected one of FROM, PARAMETER, SYSTEM, "
     'TEMPLATE, MESSAGE, ADAPTER, LICENSE, REQUIRES, RENDERER, PARSER, DRAFT'),
    ('FROM x\nSYSTEM """never\nends\n',
     'x/Modelfile:2: SYSTEM: unclosed """; expected """ at the end of the value, then a new line'),
    ('FROM x\nSYSTEM "never\nends\n',
     'x/Modelfile:2: SYSTEM: unclosed "; expected " at the end of the value, then a new line'),
    ('FROM x\nSYSTEM """ends""" # why\n',
     'x/Modelfile:2: SYSTEM: text after the closing """ of the value that begins here; '
     'expected """ at the end of the value, then a new line'),
    ('SYSTEM hi', 'x/Modelfile: FROM: missing; expected a line FROM <model>'),
    ('', 'x/Modelfile: FROM: missing; expected a line FROM <model>'),
    ('FROM', 'x/Modelfile:1: FROM: no value; expected a model name or a path'),
    ('FROM x\n\nMESSAGE robot hi',
     "x/Modelfile:3: MESSAGE: role 'robot'; expected one of system, user, assistant"),
    ('FROM x\nREQUIRES new', "x/Modelfile:2: REQUIRES: version 'new'; expected a version such as "
     '0.14.0'),
    ('FROM x\nPARAMETER top_k many',
     "x/Modelfile:2: PARAMETER top_k: 'many'; expected an integer from 0 to 100000"),
    ('FROM x\nPARAMETER temperature 3',
     "x/Modelfile:2: PARAMETER temperature: '3'; expected a number from 0 to 2"),
    ('FROM x\nPARAMETER temperature nan',
     "x/Modelfile:2: PARAMETER temperature: 'nan'; expected a number from 0 to 2"),
    ('FROM x\nPARAMETER use_mmap yes',
     "x/Modelfile:2: PARAMETER use_mmap: 'yes'; expected true or false"),
    ('FROM x\nPARAMETER num_ctx 2_048',
     "x/Modelfile:2: PARAMETER num_ctx: '2_048'; expected an integer from 64 to 1048576"),
    ('FROM x\nPARAMETER stop ""',
     "x/Modelfile:2: PARAMETER stop: ''; expected a text that is not empty"),
    ('FROM x\nDRAFT ./d', 'x/Modelfile:2: DRAFT: not supported; expected no DRAFT (experimental '
     'in Ollama)'),
])
def test_a_mistake_is_named_with_file_line_and_what_was_expected(text, line):
    assert problems(text) == [line]


def test_unknown_parameter_names_the_known_ones():
    (line,) = problems('FROM x\nPARAMETER temprature 1')
    assert line.startswith("x/Modelfile:2: PARAMETER: unknown parameter 'temprature'; expected "
                           'one of temperature, top_k')


def test_all_mistakes_come_at_once():
    assert len(problems('PARAMETER top_k x\nMESSAGE me hi\nPARAMETER foo 1')) == 4


@pytest.mark.parametrize('name', sorted(PARAMETERS))
def test_every_parameter_is_read_with_its_type(name):
    parameter = PARAMETERS[name]
    text = {bool: 'true', int: '1', float: '0.5', str: 'x'}[parameter.kind]
    text = '64' if name == 'num_ctx' else text
    value = parse(f'FROM x\nparameter {name.upper()} {text}').parameters[name]
    assert value == ['x'] if name == 'stop' else isinstance(value, parameter.kind)


def test_deprecated_parameters_warn_and_do_not_go_to_ollama():
    modelfile = parse('FROM x\nPARAMETER mirostat 1\nPARAMETER top_k 5')
    assert modelfile.warnings == ['Modelfile:2: PARAMETER mirostat: deprecated, Ollama ignores it']
    assert modelfile.ollama_options() == {'top_k': 5}


@pytest.mark.parametrize('value', [
    'plain', ' edges ', 'two\nlines', 'a "quote"', '"', 'says "hi"', '"all"', 'a\n"b"\nc', '',
    'a """ b',
    '{{ if .System }}<|im_start|>system\n{{ .System }}<|im_end|>\n{{ end }}', '# no comment',
])
def test_a_quoted_value_is_taken_as_it_is(value):
    assert parse(f'FROM x\nSYSTEM """{value}"""\nPARAMETER top_k 7\n').system == value


@pytest.mark.parametrize('encoding', ['utf-8', 'utf-8-sig', 'utf-16'])
def test_encodings(tmp_path, encoding):
    path = tmp_path / 'Modelfile'
    path.write_bytes('FROM x\nSYSTEM Grüß dich'.encode(encoding))
    assert load(path).system == 'Grüß dich'


def test_a_file_that_is_no_text(tmp_path):
    path = tmp_path / 'Modelfile'
    path.write_bytes(b'FROM x\nSYSTEM \xff\xfe')
    with pytest.raises(ModelfileError, match=r'Modelfile:2: byte 14 is not text; expected UTF-8'):
        load(path)


def test_a_missing_file(tmp_path):
    with pytest.raises(AssistantError, match='No such file'):
        load(tmp_path / 'none')


def test_the_modelfile_of_the_repository():
    modelfile = load(REPOSITORY / 'config' / 'Modelfile')
    assert modelfile.base
    assert 'Jarvis' in modelfile.system
    assert modelfile.warnings == []
    assert [m.role for m in modelfile.messages] == ['user', 'assistant'] * (
        len(modelfile.messages) // 2)
