# SPDX-License-Identifier: Apache-2.0
"""What is said in the measurements, and by whom. Only ``PAUSED`` was used to tune the product."""

from __future__ import annotations

ASSISTANT = 'af_heart'
VOICES = ('am_michael', 'bf_emma', 'bm_george', 'af_bella', 'am_fenrir', 'bf_isabella')
"""The six people of the room. But for the end of turn, the product was tuned with other voices."""
WAKE_VOICES = (*VOICES, 'af_alloy', 'af_aoede', 'af_jessica', 'af_kore', 'af_river', 'af_sky',
               'am_adam', 'am_echo', 'am_liam', 'am_onyx', 'bf_lily', 'bm_daniel', 'bm_fable',
               'am_santa')

COMMANDS = (
    'what time is it?', 'turn on the light.', 'set a timer for ten minutes.',
    'what is the weather in Paris?', 'play some quiet music.', 'stop the music.',
    'how far away is the moon?', 'call my sister.', 'wake me up at seven thirty.',
    'turn the volume down.', 'what is twelve times nine?', 'tell me a joke.',
    'close the curtains in the bedroom.', 'who wrote Romeo and Juliet?',
    'add milk to the shopping list.', 'how tall is Mount Everest?', 'lock the front door.',
    'is it going to rain tomorrow?', 'start the washing machine.', 'what day is it today?',
    'remind me to water the plants.', 'turn off all the lights.', 'what is the capital of Spain?',
    'read me the news.', 'open the garage.', 'how do you spell necessary?',
    'set the heating to twenty degrees.', 'where is my phone?', 'translate good morning.',
    'how many people live in London?', 'pause the film.', 'skip this song.',
    'what is on my calendar today?', 'send a message to Tom.', 'is the oven still on?',
    'dim the lamp in the kitchen.', 'when does the next train leave?', 'go back to the kitchen.',
    'bring me a glass of water.', 'how old is the universe?', 'follow me.',
    'come here, please.', 'what can you do?', 'count to five.', 'clean the living room.',
    'why is the sky blue?', 'what did you say?', 'repeat that, please.',
    'how long is a marathon?', 'good night.')
"""Said in one breath after the wake word; fifty."""

PAUSED = (
    'Set a timer for,| ten minutes and thirty seconds.',
    'I would like to know,| what the weather will be like tomorrow.',
    'Turn on the light in the kitchen,| and switch off the one in the hall.',
    'Please remind me,| to call the dentist on Monday.',
    'Add eggs, milk,| and a loaf of bread to my shopping list.',
    'When I was at the station this morning,| the train was already gone.',
    'Could you play something by,| the Rolling Stones?',
    'If it rains tomorrow,| wake me up half an hour later.',
    'What is the distance between,| the earth and the moon?',
    'Send a message to Martin,| saying that I will be late.',
    'Tell me a story about,| a dragon and a princess.',
    'My favourite colours are,| blue and dark green.',
    'I was wondering whether,| you could book a table for two.',
    "Look up the recipe for,| my grandmother's apple pie.",
    'After you have closed the windows,| please lock the door.',
    'How long does it take to,| fly from London to New York?',
    'Write down the number,| four seven three one nine.',
    'The meeting is on Thursday,| at a quarter past eleven.',
    'I think that the best way to do it is,| to start at the beginning.',
    'Because the shop was closed,| we had to cook with what was left.',
    'Move the appointment from Tuesday,| to Friday afternoon.',
    'Who was the president when,| the wall came down in Berlin?',
    'Turn the heating down to,| eighteen degrees at night.',
    'I want you to,| read the last message again.',
    'Before I go to bed,| show me what is planned for tomorrow.',
    'Is there a bakery,| that is open on Sunday?',
    'The colour of the sky is blue because,| the air scatters short waves.',
    'Go to the living room,| and look for my glasses.',
    'What happens if,| I press both buttons at once?',
    'In the year nineteen sixty nine,| people walked on the moon.',
    'Find out how much,| a ticket to Vienna costs.',
    'Put the red box,| next to the green one.',
    'We need flour, butter,| sugar and two lemons.',
    'Although it was late,| nobody wanted to go home.',
    'Would you please,| say that a little slower?',
    'Let us meet at the corner of,| Baker Street and Park Road.',
    'My telephone number is,| five five five, twelve, eighty.',
    'There are three things that,| I would like to ask you.',
    'If nobody answers the door,| leave the parcel with the neighbour.',
    'Start the vacuum cleaner when,| everybody has left the house.',
    'Give me directions to,| the nearest hospital.',
    "The cat was sitting on,| the roof of the neighbour's car.",
    'How do I get from here,| to the museum of modern art?',
    'Tomorrow at noon,| I am going to the hairdresser.',
    'Do you know whether,| the library is open today?',
    'Open the second chapter,| and read me the first page.',
    'While the water boils,| cut the onions into small pieces.',
    'Translate the sentence,| where is the station, into Italian.',
    'The password of the guest network is,| written on the fridge.',
    'Wake me up at six,| unless it is a holiday.',
    'I am looking for a film with,| that actor from the space series.',
    'Take the first road on the left,| and then go straight on.',
    'Compare the prices of,| the two cheapest flights.',
    'When you are finished with that,| come back to the kitchen.',
    'What did the doctor say about,| the pain in my knee?',
    'Please turn off,| everything except the radio.',
    'The last time that we spoke,| you told me about your new job.',
    'Calculate fifteen percent of,| two hundred and forty.',
    'I forgot to mention that,| my brother is coming for dinner.',
    'Between the two of them,| I prefer the smaller one.',
    'Make a note,| that the car needs new tyres.',
    'Since it is your birthday,| you may choose the music.',
    'How many grams of rice,| do I need for four people?',
    'Ask Sarah if,| she has seen the blue folder.',
    'Without the second key,| nobody can open the safe.',
    'Show me pictures of,| the holiday in Portugal.',
    'The next bus to the city centre leaves,| in about twelve minutes.',
    'I cannot remember where,| I put the charger of my phone.',
    'First preheat the oven,| then mix the eggs with the sugar.',
    'Would it be possible to,| change the language to French?',
    'Every morning at eight,| tell me what is in the news.',
    'The largest planet of our solar system,| is called Jupiter.',
    'Play the album that,| we were listening to yesterday.',
    'Not the one on the table,| the one behind the lamp.',
    'Tell my mother that,| I have arrived safely.',
    'Should the alarm go off again,| call the security service.',
    'The reason for my question is,| that I lost the manual.',
    'Bring the tools from the shed,| and the ladder from the garage.',
    'Who won the match between,| Brazil and Argentina?',
    'Until the paint is dry,| nobody should touch the wall.',
    'Can you explain to me,| how a heat pump works?',
    'I have been thinking about,| buying a second bicycle.',
    'On the way to work,| I always stop at the same café.',
    'As soon as the oven is hot,| put the bread in.',
    'Cancel my subscription to,| the monthly magazine.',
    'Take a picture of the whiteboard,| and send it to everybody.',
    'It was so cold that,| the lake froze overnight.',
    'Give the dog some water,| and then take him for a walk.',
    'What is the difference between,| weather and climate?',
    'According to the forecast,| the wind will get stronger.',
    'Switch the television to,| the channel with the football.',
    'If you see the postman,| give him the letter on the desk.',
    'The bread is in the cupboard,| above the coffee machine.',
    'Count all the chairs in,| the room at the end of the corridor.',
    'By the time we arrived,| the concert had already begun.',
    'He asked me whether,| we could meet a day earlier.',
    'Increase the brightness of,| the lamp beside the sofa.',
    'The answer to your question is,| forty two.',
    'Stay where you are,| until I tell you to move.',
    'Remember that I am allergic to,| nuts and strawberries.')
"""A hundred sentences; the speaker pauses at the bar. The end of turn was set with them, too."""

STORIES = (
    'Hey Jarvis. Please tell me a long story about a dragon.',
    'Hey Jarvis. Please tell me a long story about the sea.',
    'Hey Jarvis. Tell me everything about elephants.',
    'Hey Jarvis. What do you know about volcanoes?')
INTERRUPTIONS = (
    'Wait, tell me a long story about the sea instead.',
    'No, please tell me a long story about the moon.',
    'Hold on, I would like a long story about a robot.',
    'Okay, now tell me everything about elephants.',
    'Thank you. And what do you know about volcanoes?')
"""Said over an answer; each asks for another long one."""

SHORT = ('Yes.', 'No.', 'Stop.', 'Seven.', 'Twenty three.', 'Martin.', 'Sarah.', 'Cancel.')

REPLIES = (
    'The moon is about three hundred eighty four thousand kilometres away from the earth, which '
    'takes light a little more than one second.',
    'Tomorrow it will be mostly cloudy, with some rain in the afternoon and a high of sixteen '
    'degrees. You may want to take an umbrella with you.',
    'Here is a joke. Why did the robot go on holiday? Because it needed to recharge its '
    'batteries.',
    'I have set a timer for ten minutes. I will tell you when it is over.',
    'William Shakespeare wrote Romeo and Juliet, most likely between the years fifteen ninety '
    'one and fifteen ninety five.')

OWN_WAKE_WORDS = (
    'Hey Jarvis.', 'Hey Jarvis!', 'You can wake me by saying: Hey Jarvis.',
    'My wake word is hey Jarvis, just say hey Jarvis.', 'Hey Jarvis, what time is it?',
    'Did you say hey Jarvis?', 'Say hey Jarvis, and I will listen.',
    'People call me Jarvis. Hey Jarvis, they say.', 'Hey Jarvis, hey Jarvis, hey Jarvis.',
    'The words are: hey Jarvis.')

NEAR_MISSES = (
    'Hey Travis, how are you?', 'Hey Marcus!', 'Hey Charlie, come here.', 'Hey Garvin.',
    'Have you seen the harvest this year?', 'It was a great service.', 'Hey Jerry, listen.',
    'Hey, Harvey is here.', 'Hey Janice, are you there?', 'A jar of this, please.',
    'The jar is empty.', 'Hey, just this once.', 'Hey John, is that yours?', 'Hey Siri.',
    'Hey Google.', 'Alexa, stop.', 'Okay Google.', 'Hey Mycroft.', 'Computer.', 'Jarvis.',
    'Say Jarvis again.', 'Carve this piece of wood.', 'They jar this kind of fruit.',
    'He charges a lot.')
