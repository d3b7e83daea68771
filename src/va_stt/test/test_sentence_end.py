# SPDX-License-Identifier: Apache-2.0
"""Which texts can be a whole sentence."""

import pytest

from va_stt.sentence_end import open_ended


@pytest.mark.parametrize('text', [
    'Set a timer for.', 'Could you play something by?', 'What is the distance between?',
    'Tell me a story about...', 'My favourite colours are', 'I was wondering whether',
    'When I was at the station this morning.', 'If it rains tomorrow,', 'Turn on the',
    'How long does it take to?', 'Who was the president when?', 'I want you to.',
    'I forgot to mention that', 'Because the shop was closed.', 'Add eggs, milk and',
    'Um', 'Before I go to bed', 'Even though he was tired.',
    'Tomorrow at noon.', 'Every day at 8.', 'Find out how much', 'Tell me how old.',
    'In the year 1969.', 'On the way to work', 'As soon as the oven is hot',
    'Could you please?', 'Can you', 'Would you maybe', 'We are going to need.', 'Can I have?',
    'What is the fastest way?', 'Is there any chance?'])
def test_must_go_on(text):
    assert open_ended(text)


@pytest.mark.parametrize('text', [
    'What time is it?', 'Turn it on.', 'Yes.', 'No', 'Stop!', 'Where are you from?',
    'What is that?', 'Tell me what time it is.', 'Repeat that.', 'Who are you talking to?',
    'When does the train leave?', 'If it rains tomorrow, wake me up later.', 'When?', 'Why?',
    'Send a message to Martin.', 'Switch the light off', 'I think so.', 'Which?', '', 'Seven.',
    'Come in.', 'Call her.', 'In the kitchen.', 'At seven.', "I don't know.", 'How many?',
    'Next week.', 'Tomorrow.', 'Tomorrow is Monday.', 'How long?', 'This is the one.',
    'Can you hear me?', 'Could you help?', 'Which one do you need?', 'Tell me what you want.',
    'No way.', 'By the way.', 'Give me a reason.', 'Tell me how much it costs.',
    'In the year 1969, people walked on the moon.'])
def test_may_be_whole(text):
    assert not open_ended(text)
