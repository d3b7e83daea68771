# SPDX-License-Identifier: Apache-2.0
"""A virtual room for the assistant: devices, echo, noise and a synthetic user.

`pulse` is a private sound server with a speaker and a microphone, `room` the air between them
(`room_process` does the work, `acoustics` the physics), `voices` the user's mouth, `observer` what
the assistant says on its topics, `conversation` the script with its deadlines, `report` the judge
that believes only the recordings, `demo` the command.

    with VirtualRoom(RoomSettings(out='out/room', rir='my_room.wav', snr_db=15.0)) as room:
        subprocess.Popen([...], env=os.environ | room.environment())
        start_s, end_s = room.say('question.wav').times()
"""
