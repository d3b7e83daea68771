# SPDX-License-Identifier: Apache-2.0
"""What the second look at a wake is trained on: phrases, and what sounds like them.

No name and no carrier sentence of ``texts.NEAR_MISSES``, by which it is measured, is here; only
the bare "jarvis", which is half of the phrase itself, is in both. No voice is in both, either.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Examples:
    """Of one wake word."""

    whole: tuple[str, ...]
    """The phrase, alone and in one breath."""
    machine: tuple[str, ...]
    """The same for espeak-ng, also as the British say it."""
    near: tuple[str, ...]
    """What a model may take for it; two voices read each."""
    hard: tuple[tuple[str, ...], ...]
    """What the model was found to take for it; English voices read one list each."""
    close: tuple[str, ...]
    """All around the phrase, only for espeak-ng."""
    other_first: tuple[str, ...]
    """The phrase with another first word; some voices read some."""
    other_second: tuple[tuple[str, ...], ...]
    """The phrase with another second word; the same voices read them."""


_BREATH = ('will the bus be late?', 'open the curtains.', 'I need some help.', 'add two eggs.',
           'give me the score.', 'make it warmer.', 'look for my keys.', 'are you awake?')
_CALLED = (
    'Jared', 'Jasper', 'Jordan', 'Jarrod', 'Marvin', 'Darwin', 'Carver', 'Martin', 'Marty',
    'Jamie', 'Charles', 'Chandler', 'Joyce', 'Josh', 'Jonah', 'Jack', 'James', 'Jason', 'Jess',
    'Jimmy', 'Judy', 'Julia', 'George', 'Gerald', 'Jenny', 'Jeff', 'Chuck', 'Chester', 'Chad',
    'Carl', 'Carlos', 'Garth', 'Gary', 'Gordon', 'Calvin', 'Kevin', 'Melvin', 'Darius', 'Davis',
    'Elvis', 'Dennis', 'Lewis', 'Morris', 'Boris', 'Doris', 'Paris', 'Harris', 'Carmen', 'Arthur',
    'Mavis', 'Java', 'Jargon', 'doctor', 'driver', 'guys', 'judge', 'chief', 'there', 'child',
    'champ', 'jobs', 'Jacques', 'Charmaine', 'Joseph', 'gardener', 'Tarzan', 'Starbucks')
_HARD = (
    ('Hey Java.', 'Hey Jimmy.', 'Hey judge.', 'Hey Charles.', 'Hey child.', 'Hey jobs.',
     'Hey Josh.', 'Hey Jacques.'),
    ('Hey Jamie.', 'Hey Jordan.', 'Hey Joyce.', 'Hey James.', 'Hey Starbucks.', 'Hey Chuck.',
     'Hey Jason.', 'Hey Darwin.'))
_JARVIS = (
    'Jarvis.', 'Jarvis!', 'Jarvis, come here.', 'Ask Jarvis.', 'Tell Jarvis about it.',
    'Mister Jarvis.', 'Is Jarvis at home?', 'My friend Jarvis.', 'The Jarvis family.',
    'Thank you, Jarvis.', 'Play Jarvis Cocker.', 'They pay Jarvis well.', 'Maybe Jarvis knows.',
    'Good old Jarvis.', 'I met Jarvis today.', 'It was Jarvis who called.', 'No, Jarvis, no.')
_OTHER_FIRST = tuple(f'{word} Jarvis.' for word in (
    'Pay', 'Stay', 'May', 'Play', 'They', 'Lay', 'Away', 'Today', 'Pray', 'Gray', 'Ray', 'Kay',
    'Jay', 'Day', 'Way', 'Essay', 'Sway', 'Delay', 'Weigh', 'X-ray'))
_OTHER_SECOND = (
    ('Hey Jolliss.', 'Hey Jarliss.', 'Hey Jottiss.', 'Hey Jarkiss.', 'Hey Jossis.',
     'Hey Joddiss.', 'Hey Jargiss.', 'Hey Joppiss.'),
    ('Hey Jock is in.', 'Hey Jarvin.', 'Hey Chuck is it.', 'Hey Carvin.', 'Hey Don is out.',
     'Hey Jarl is here.', 'Hey Charlin.', 'Hey Darvin.'))
_WHOLE = ('Hey Jarvis.', 'Hey Jarvis!', 'Hey, Jarvis?', 'Hey... Jarvis.',
          *(f'Hey Jarvis, {text}' for text in _BREATH))
_BEFORE = (
    'Pay', 'Stay', 'May', 'Play', 'They', 'The way', 'Away', 'Today', 'Pray', 'Gray', 'Ray', 'Kay',
    'Jay', 'Monday', 'Sunday', 'Delay', 'Essay', 'Sway', 'Okay, day', 'X-ray', 'Lay', 'Weigh',
    'Spray', 'See', 'So', 'By', 'For', 'Yes', 'Is', 'This', 'Us', 'Was', 'Miss', 'Ace', 'Face')
_NAMED = (
    'Jarvin', 'Jarvo', 'Jarvel', 'Jarko', 'Jardin', 'Jarnett', 'Jarmo', 'Jarl', 'Jart', 'Jarrow',
    'Johnny', 'Joan', 'Jan', 'Jen', 'Jonas', 'Jolis', 'Jannick', 'Janna', 'Jo', 'Jay', 'Joel',
    'Jabez', 'Jackie', 'Jacob', 'Joshua', 'Julius', 'Justus', 'Jesus', 'Joyless', 'Jealous',
    'Jeevan', 'Giles', 'Gina', 'Giovanni', 'Gemma', 'Geoffrey', 'Carvin', 'Calvis', 'Carlis',
    'Garrison', 'Garfield', 'Garvey', 'Gavin', 'Gareth', 'Galvin', 'Gus', 'Gladys', 'Gardner',
    'Charlotte', 'Charity', 'Chauncey', 'Chavez', 'Cheryl', 'Chris', 'Charmer', 'Chance',
    'Churchill',
    'Marvel', 'Marla', 'Marley', 'Martha', 'Marsha', 'Mario', 'Marius', 'Morton', 'Mervin',
    'Maurice',
    'Dara', 'Darla', 'Darcy', 'Davey', 'David', 'Dorothy', 'Don', 'Dolly', 'Dexter', 'Denise',
    'Barney', 'Barbara', 'Bartok', 'Bob', 'Parker', 'Percy', 'Parvin', 'Tara', 'Tarquin', 'Tom',
    'Harley', 'Harper', 'Harmon', 'Hardy', 'Arvid', 'Arlo', 'Artist', 'Archie', 'Harold', 'Larry',
    'Larkin', 'Laura', 'Lara', 'Karl', 'Karla', 'Carter', 'Sarah', 'Sergeant', 'Sean', 'Shawn',
    'Nora', 'Norris', 'Ron', 'Robin', 'Rosalind', 'Victor', 'Vincent', 'Yasmin', 'Jasmine',
    'Justin', 'Judas', 'June', 'Jude', 'Jerome', 'Jeremy', 'Gerard', 'Germany', 'Jury', 'Jersey')
_FOLLOWED = (
    'Josh is in.', 'Joan is ill.', 'Jan is back.', 'Don is out.', 'Ron is late.', 'Tom is asleep.',
    'Jen, is it late?', 'Charles is up.', 'Jack, this one.', 'Joel, is it on?',
    'Marty, come over.', 'Carly, come along.', 'Johnny, come down.', 'Jolly, calm down.',
    'Marley, go home.',
    'Julie, come back.', 'child of mine.', 'just a second.', 'jump in.', 'join us.',
    'joking is fun.', 'guys, listen.', 'start it.', 'driver, stop here.', 'chart this.',
    'jar it up.', 'job is done.', 'jaw is sore.', 'dog is out.', 'garden is green.',
    'car is here.')
_CLOSE = (
    *(f'{word} Jarvis.' for word in _BEFORE), *(f'Hey {name}.' for name in _NAMED),
    *(f'Hey {rest}' for rest in _FOLLOWED),
    'Jarvis.', 'Jarvis!', 'Jarvis?', 'Oh, Jarvis.', 'Jahvis.', 'Dear Jarvis.', 'Jarvis Smith.',
    'Hey.', 'Hey!', 'Hey you.', 'Hey, hey, hey.', 'Hey, how are you?', 'Hey, where is it?',
    'Jay stays.', 'Hay and oats.', 'Hey jay.', 'Haze.', 'Jars.', 'A job is a job.')

EXAMPLES = {
    'hey_jarvis': Examples(
        whole=_WHOLE,
        machine=('Hey Jarvis.', 'Hey Jarvis!', 'Hey Jarvis.', 'Hey, Jarvis?', 'Hey Jahvis.',
                 *_WHOLE[4:]),
        near=(*(f'Hey {name}.' for name in _CALLED), *_JARVIS,
              'Hey Jordan, come over.', 'Hey Marvin, wait.', 'Hey James, look at this.',
              'Hey Josh, where are you?', 'Hey George, is it you?', 'Hey Chuck, sit down.',
              'They are jealous.', 'Stay in the garden.', 'A charming visit.', 'Pay the charge.',
              'Eight jars of honey.', 'He drives a car.', 'The garbage is full.',
              'They started it.', 'A sharp voice.', 'Day after day it drives us mad.'),
        hard=_HARD,
        close=_CLOSE,
        other_first=_OTHER_FIRST,
        other_second=_OTHER_SECOND),
}


def trained_on(word: str) -> frozenset[str]:
    """Every text that is not the phrase, of those that the check of a word is trained on."""
    texts = EXAMPLES[word]
    rows = (*texts.hard, *texts.other_second)
    return frozenset((*texts.near, *texts.close, *texts.other_first,
                      *(text for row in rows for text in row)))
