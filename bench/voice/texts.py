# SPDX-License-Identifier: Apache-2.0
"""What the user asks; the voices are those of the hearing bench, not the assistant's."""

from __future__ import annotations

from hearing.texts import VOICES

WAKE = 'Hey Jarvis.'
QUESTIONS = (
    'What is the capital of France?', 'How many days are in a week?',
    'What colour is the sky on a clear day?', 'Who wrote Romeo and Juliet?',
    'What is the largest planet of the solar system?', 'How do I boil an egg?',
    'Can you tell me something about the moon?', 'What is twelve times nine?',
    'Which language do people speak in Brazil?', 'How far away is the sun?',
    'What do bees make?', 'Tell me a short story about a robot.',
    'How many legs does a spider have?', 'What is the opposite of cold?',
    'Where do penguins live?', 'What should I cook for dinner tonight?',
    'Who painted the Mona Lisa?', 'What is the longest river of the world?',
    'How many hours are in two days?', 'Why do leaves turn red in autumn?',
    'What is the name of our galaxy?', 'Give me a good reason to go for a walk.',
    'What is water made of?', 'How tall is Mount Everest?',
    'Which animal is the fastest on land?', 'What does a doctor do?',
    'Name three fruits that are yellow.', 'What is the tallest animal?',
    'How many months have thirty days?', 'What can you do for me?')


def script(turns: int, per_dialog: int) -> list[tuple[str, tuple[str, ...]]]:
    """Dialogs of (voice, questions), ``turns`` questions in all; every voice gets its share."""
    dialogs: list[tuple[str, tuple[str, ...]]] = []
    for first in range(0, turns, per_dialog):
        asked = tuple(QUESTIONS[k % len(QUESTIONS)]
                      for k in range(first, min(first + per_dialog, turns)))
        dialogs.append((VOICES[len(dialogs) % len(VOICES)], asked))
    return dialogs
