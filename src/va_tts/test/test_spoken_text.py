# SPDX-License-Identifier: Apache-2.0
import pytest

from va_tts.spoken_text import spoken


@pytest.mark.parametrize('text, words', [
    ('Hi, Master!', 'Hi, Master!'),
    ('**Bold** and *slanted* and `code` and ~~gone~~', 'Bold and slanted and code and gone'),
    ('half **bold', 'half bold'),
    ('## A heading', 'A heading'),
    ('> quoted', 'quoted'),
    ('- one\n- two\n* three', 'one. two. three'),
    ('1. Apples\n2. Pears', '1: Apples. 2: Pears'),
    ('- [x] done', 'done'),
    ('See [the docs](https://a.b/c "t") now', 'See the docs now'),
    ('![a cat](cat.png)', 'a cat'),
    ('See [the docs][1] and ![a cat][].', 'See the docs and a cat.'),
    ('[1]: https://a.b/c "Docs"', ''),
    ('True.[^1] Very.\n[^1]: Says Bob.', 'True. Very. Says Bob.'),
    ('> one\n> > two\n***\nthree', 'one. two. three'),
    ('call `make_it(2)` now', 'call make it(2) now'),
    ('Go to https://www.example.com/a/b?c=d.', 'Go to example dot com.'),
    ('```python\nprint(1)\n```', 'print(1)'),
    ('| a | b |\n|---|---|\n| c | d |', 'a, b. c, d'),
    ('---', ''),
    ('Fine 🎉👍🏽 really ❤️', 'Fine really'),
    ('🎉', ''),
    ('Good :) very ;-)', 'Good very'),
    ('...', ''),
    ('snake_case and _it_', 'snake case and it'),
    ('<b>Hi</b>', 'Hi'),
    ('2 * 3 < 7', '2 times 3 is less than 7'),
    ('Dr. Smith and Mr. Jones, e.g. today', 'Doctor Smith and Mister Jones, for example, today'),
    ('apples, pears etc. are fruit', 'apples, pears et cetera are fruit'),
    ('the U.S. army', 'the U S army'),
    ('at 5 p.m. Then', 'at 5 PM. Then'),
    ('at 10:30 p.m. on Friday', 'at 10 30 PM on Friday'),
    ('7 a.m., 7am or 7 pm', '7 AM, 7 AM or 7 PM'),
    ('at 9:05, 12:00 or 5:00 PM', "at 9 oh 5, 12 o'clock or 5 PM"),
    ('10:30-11:00', "10 30 to 11 o'clock"),
    ('10:30:15', '10:30:15'),
    ('No. 5', 'number 5'),
    ('$29.', '29 dollars.'),
    ('$29.50', '29 dollars and 50 cents'),
    ('$1', '1 dollar'),
    ('$1.01', '1 dollar and 1 cent'),
    ('£1,000.5, or so', '1,000 pounds and 50 pence, or so'),
    ('$0.05, $.99 or US$50', '5 cents, 99 cents or 50 dollars'),
    ('$5-10', '5 dollars to 10'),
    ('€5 million', '5 million euros'),
    ('$1.5 billion', '1.5 billion dollars'),
    ('20°C & 5 km/h', '20 degrees Celsius and 5 kilometers per hour'),
    ('10 kg', '10 kilograms'),
    ('in 1987', 'in 19 87'),
    ('1987.5 or 12:1987', '1987.5 or 12:1987'),
    ('3.14', '3.14'),
    ('7 - 3 = 4, 10 / 2 = 5', '7 minus 3 = 4, 10 divided by 2 = 5'),
    ('-5°C', 'minus 5 degrees Celsius'),
    ('x^2, y³ and 2^10', 'x squared, y cubed and 2 to the power of 10'),
    ('9-5, 1914–1918', '9 to 5, 19 14 to 19 18'),
    ('7-3=4, a 50-50 chance in 2024-05', '7-3=4, a 50-50 chance in 2024-05'),
    ('It is $0.00 or £0.', 'It is 0 dollars or 0 pounds.'),
    ('$5M and $1.5B', '5 million dollars and 1.5 billion dollars'),
    ('555-1234, 1999-12-31', '555-1234, 1999-12-31'),
    ('#1 of ~5, 1/2 or 1/20', 'number 1 of about 5, one half or 1/20'),
    ('me@example.com', 'me at example dot com'),
    ('C# & F', 'C# and F'),
])
def test_english(text: str, words: str) -> None:
    assert spoken(text) == words


def test_other_languages_keep_their_own_words() -> None:
    assert spoken('Dr. Müller, **5 kg** für $3', 'de') == 'Dr. Müller, 5 kg für $3'


def test_twenty_thousand_odd_characters_are_quick() -> None:
    for odd in ('[', '*_', '$1,', '1.', '|-', ' ', '- ', '<a', 'A.', '\n', '[](', '[a](b "', '1:',
                '1-', '[^', '[a][', '[a]: /', '$', 'a@', 'a.', '1 ', '^'):
        spoken(odd * (20_000 // len(odd)))
